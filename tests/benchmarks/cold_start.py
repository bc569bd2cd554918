"""Measures how soon a server that is started lives (GET /health) and can answer (GET /ready); weights are on the disk.

    python -m tests.benchmarks.cold_start [--repeat 5]

With the embedded embedder, an empty cache and each kind of model. What else the machine does counts: the load at the
start of each run is told beside it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from statistics import median

from tests.benchmarks import servers
from tests.benchmarks.tables import table, write
from tests.processes import cpu_seconds, family

MODELS = {"scripted (echo)": "echo", "embedded 1.5b": "1.5b"}
LOOK_SECONDS = 0.01
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds until each of the two answered with 200, CPU seconds of all processes then, load before."""

    health: float
    ready: float
    cpu: float
    load: float


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--repeat", type=int, default=5, help="starts with each model")
    repeat = cli.parse_args().repeat
    # Taken in turns: what else the machine does changes with time.
    turns = [{name: started(model) for name, model in MODELS.items()} for _ in range(repeat)]
    write("cold_start", report({name: [turn[name] for turn in turns] for name in MODELS}))


def started(model: str) -> Start:
    """Start a server and stop it again."""
    port = servers.free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "PYTHONPATH": str(servers.ROOT),
            "WELLREAD_EMBEDDED_MODEL": model,
            "WELLREAD_EMBEDDER": "embedded",
            "WELLREAD_CACHE": f"{folder}/cache.sqlite",
            "WELLREAD_LOG_LEVEL": "warning",
        }
        load, start = os.getloadavg()[0], time.perf_counter()
        command = [sys.executable, str(servers.ROOT / "server.py"), "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            health = answered(f"http://127.0.0.1:{port}/health") - start
            ready = answered(f"http://127.0.0.1:{port}/ready") - start
            return Start(health, ready, cpu_seconds(family(process.pid)), load)
        finally:
            process.terminate()
            process.wait(servers.ANSWER_SECONDS)


def answered(url: str) -> float:
    """Wait until an address answers with 200; gives when. Raises TimeoutError."""
    end = time.perf_counter() + GIVE_UP_SECONDS
    while time.perf_counter() < end:
        try:
            urllib.request.urlopen(url, timeout=GIVE_UP_SECONDS).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(LOOK_SECONDS)
        else:
            return time.perf_counter()
    raise TimeoutError(url)


def report(starts: dict[str, list[Start]]) -> str:
    """Write a row for each model."""
    rows = [
        [
            name,
            *spread([each.health for each in runs]),
            *spread([each.ready for each in runs]),
            round(median(each.cpu for each in runs), 1),
            f"{min(each.load for each in runs):.1f}-{max(each.load for each in runs):.1f}",
        ]
        for name, runs in starts.items()
    ]
    count = len(next(iter(starts.values())))
    told = f"{count} starts each; seconds from the start of the process; weights on the disk and in its cache."
    head = ["model", "`/health`, best", "median", "worst", "`/ready`, best", "median", "worst", "CPU seconds", "load"]
    return f"{told}\n\n{table(head, rows)}"


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return the best, the median and the worst, to a hundredth."""
    return round(min(values), 2), round(median(values), 2), round(max(values), 2)


if __name__ == "__main__":
    main()
