"""Measures a Ray cluster of several nodes on this machine: reading by the number of readers, and a node that is lost.

    python -m tests.benchmarks.cluster [--seconds 40] [--questions 300]

Needs .venv-ray (`make test-ray`). A page takes a second and costs little to clean, and a reader reads few at once: so
it is the number of readers that limits, not the cores, as it is with real machines.
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import median, quantiles

import anyio
import httpx2

from tests.benchmarks.tables import table, write
from tests.many_hosts import ManyHosts, many_hosts
from tests.ray_cluster import Nodes, asked, client, cluster

HOSTS = 50
PAGE_SECONDS = 1.0
AT_ONCE = 8
READERS = (1, 2, 3)
ASKED_AT_ONCE = 4
WARM_SECONDS = 5.0
CLIENTS = 10
LOSS_HOSTS, LOSS_PAGE_SECONDS, LOSS_AT_ONCE = 20, 0.2, 16
# From the loss of a node until another joins.
ALONE_SECONDS = 5.0


@dataclass(slots=True)
class Loss:
    """How the questions ended, and how many seconds each took; of those under way when the node was lost, `hit`."""

    ends: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    hit: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, and write what came of it."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--seconds", type=float, default=40.0, help="how long to read with each number of readers")
    cli.add_argument("--questions", type=int, default=300, help="how many to ask while a node is lost")
    args = cli.parse_args()
    rates = anyio.run(reading, args.seconds)
    loss = anyio.run(losing, args.questions)
    write("cluster", report(rates, loss))


async def reading(seconds: float) -> dict[int, float]:
    """Return the pages read a second, by the number of readers."""
    rates = {}
    async with many_hosts(HOSTS, PAGE_SECONDS) as web, cluster(web, nodes=max(READERS), at_once=AT_ONCE) as nodes:
        for readers in READERS:
            await nodes.told(f"readers {readers}")
            rates[readers] = await _rate(web, nodes, seconds)
    return rates


async def _rate(web: ManyHosts, nodes: Nodes, seconds: float) -> float:
    async with client(nodes) as http, anyio.create_task_group() as group:
        for number in range(ASKED_AT_ONCE):
            group.start_soon(_search_on, http, number)
        await anyio.sleep(WARM_SECONDS)
        begun, before = time.monotonic(), web.pages
        await anyio.sleep(seconds)
        rate = (web.pages - before) / (time.monotonic() - begun)
        group.cancel_scope.cancel()
    return rate


async def _search_on(http: httpx2.AsyncClient, number: int) -> None:
    """Ask for one context after the other."""
    while True:
        query = f"How long is pier {number} at {time.monotonic()}?"
        (await http.post("/v1/search", json={"query": query, "pages": HOSTS})).raise_for_status()


async def losing(questions: int) -> Loss:
    """Ask while a node is killed, and another joins a few seconds later."""
    loss, left = Loss(), iter(range(questions))
    killed = 0.0

    async def ask(http: httpx2.AsyncClient) -> None:
        for number in left:
            begun = time.monotonic()
            loss.ends[await asked(http, f"How long is pier number {number}?")] += 1
            took = time.monotonic() - begun
            (loss.hit if begun < killed < begun + took else loss.seconds).append(took)

    async with (
        many_hosts(LOSS_HOSTS, LOSS_PAGE_SECONDS) as web,
        cluster(web, nodes=3, at_once=LOSS_AT_ONCE) as nodes,
        client(nodes) as http,
        anyio.create_task_group() as group,
    ):
        for _ in range(CLIENTS):
            group.start_soon(ask, http)
        while sum(loss.ends.values()) < questions / 3:  # noqa: ASYNC110  (others tell by a figure)
            await anyio.sleep(0.1)
        killed = time.monotonic()
        await nodes.told("kill")
        await anyio.sleep(ALONE_SECONDS)
        await nodes.told("join")
    return loss


def report(rates: dict[int, float], loss: Loss) -> str:
    """Write the tables."""
    alone = rates[READERS[0]]
    rows = [[readers, rate, rate / alone] for readers, rate in rates.items()]
    lost: list[list[object]] = [
        *([f"ended: {end}", count] for end, count in loss.ends.most_common()),
        ["seconds a question, median, p95", _spread(loss.seconds)],
        ["seconds of those under way at the loss, median, most", f"{median(loss.hit):.1f}, {max(loss.hit):.1f}"],
    ]
    return (
        f"A page takes {PAGE_SECONDS:g} s, a reader reads {AT_ONCE} at once, {ASKED_AT_ONCE} questions at a time ask "
        f"for {HOSTS} pages each:\n\n{table(['readers, each on a node', 'pages a second', 'times one'], rows)}\n\n"
        f"Questions of {CLIENTS} clients, streamed, while one of three reading nodes is killed and another joins "
        f"{ALONE_SECONDS:g} s later:\n\n{table(['', ''], lost)}"
    )


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.1f}, {quantiles(seconds, n=20)[-1]:.1f}"


if __name__ == "__main__":
    main()
