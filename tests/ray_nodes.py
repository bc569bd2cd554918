"""A Ray cluster of several nodes on this machine, for tests and benchmarks; told what to do by lines on its input.

    .venv-ray/bin/python -m tests.ray_nodes --port 8000 --nodes 3 --at-once 16

The head answers; each further node reads with one replica. `readers N` sets how many replicas read, `kill` takes a
reading node away without warning, `join` adds one, and the end of the input stops all. What was done is printed.
"""

import argparse
import sys

import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.config import HTTPOptions, ProxyLocation

from deploy.ray.app import Api
from deploy.ray.embedding import Embedders
from deploy.ray.reading import Reader

# What the nodes offer, so that each deployment gets to its own.
FRONT, READING = {"front": 1.0}, {"reading": 1.0}


class Nodes:
    """The cluster; `at_once` is how many pages one replica reads at once."""

    def __init__(self, port: int, nodes: int, at_once: int) -> None:
        self._at_once = at_once
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "resources": FRONT, "include_dashboard": False}
        )
        self._reading = [self._joined() for _ in range(nodes)]
        ray.init(address=self._cluster.address, log_to_driver=False)
        http = HTTPOptions(host="127.0.0.1", port=port)
        serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=http)
        self.readers(nodes)

    def readers(self, replicas: int) -> None:
        """Deploy with so many replicas that read."""
        reader = Reader.options(
            num_replicas=replicas,
            max_ongoing_requests=self._at_once,
            ray_actor_options={"num_cpus": 0, "resources": {"reading": 1}},
        )
        front = {"num_cpus": 0, "resources": {"front": 0.01}}
        embedders = Embedders.options(ray_actor_options=front)
        api = Api.options(ray_actor_options=front, max_ongoing_requests=1_000)
        serve.run(api.bind(reader.bind(), embedders.bind()), name="wellread")

    def kill(self) -> None:
        """Lose a reading node."""
        self._cluster.remove_node(self._reading.pop(), allow_graceful=False)

    def join(self) -> None:
        """Add a reading node."""
        self._reading.append(self._joined())

    def stop(self) -> None:
        """Stop everything."""
        serve.shutdown()
        ray.shutdown()
        self._cluster.shutdown()

    def _joined(self) -> object:
        return self._cluster.add_node(num_cpus=1, resources=READING)


def main() -> None:
    """Run until the input ends."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--port", type=int, required=True)
    cli.add_argument("--nodes", type=int, default=3, help="nodes that read, besides the head")
    cli.add_argument("--at-once", type=int, default=16, help="pages that one replica reads at once")
    args = cli.parse_args()
    nodes = Nodes(args.port, args.nodes, args.at_once)
    _say("ready")
    try:
        for line in sys.stdin:
            command, *numbers = line.split()
            {"kill": nodes.kill, "join": nodes.join, "readers": nodes.readers}[command](*map(int, numbers))
            _say(f"done {line.strip()}")
    finally:
        nodes.stop()


def _say(line: str) -> None:
    print(f"nodes: {line}", flush=True)


if __name__ == "__main__":
    main()
