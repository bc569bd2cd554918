"""Runs many clients against the server at once, over a web with slow, hanging, forbidden and broken pages: `make load`.

    python -m tests.benchmarks.load [--clients 50] [--minutes 10]

The model is the scripted one, so what is measured is everything around a model. Each client asks one question after the
other, streamed; told to come again (429) it waits as long as it is told. How late the event loop is tells the server's
own metric, looked at twenty times a second; GET /health tells it from outside, as often, with the time that the
request takes on its way and in this program's own loop.
"""

import argparse
import json
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, quantiles

import anyio
import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks import servers
from tests.benchmarks.tables import table, write
from tests.processes import cpu_seconds, family, memory_bytes, open_files

WEATHER = ("--hang", "0.04", "--forbidden", "0.08", "--broken", "0.04")
SETTLE_SECONDS = 10.0
HEALTH_EVERY_SECONDS = 0.05
SAMPLE_EVERY_SECONDS = 2.0
SETS = ("rurag", "clapnq")


@dataclass(slots=True)
class Load:
    """What was seen: ends of requests by kind, their seconds, the health checks' milliseconds, and samples."""

    ends: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    lag: dict[float, float] = field(default_factory=dict)


def main() -> None:
    """Run, and write what came of it."""
    servers.require_data()
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--clients", type=int, default=50)
    cli.add_argument("--minutes", type=float, default=10.0)
    args = cli.parse_args()
    with servers.web(*WEATHER) as web, servers.wellread(web, WELLREAD_EMBEDDER="hashing") as address:
        pid = next(pid for pid in family(os.getpid()) if "server.py" in _command(pid))
        before = (len(family(pid)), open_files(family(pid)))
        spent = cpu_seconds(family(pid))
        load = anyio.run(loaded, address, pid, args.clients, args.minutes * 60)
        spent = cpu_seconds(family(pid)) - spent
        time.sleep(SETTLE_SECONDS)
        after = (len(family(pid)), open_files(family(pid)))
    write("load", report(load, before, after, spent, args))


async def loaded(address: str, pid: int, clients: int, seconds: float) -> Load:
    """Ask with all clients until the time is over; then each ends its last question."""
    load, end = Load(), time.monotonic() + seconds
    questions = [row["question"] for row in servers.questions("qa", SETS)]
    limits = httpx2.Limits(max_connections=clients + 2)
    client = httpx2.AsyncClient(base_url=address, timeout=servers.ANSWER_SECONDS, limits=limits)
    async with client as http, anyio.create_task_group() as watchers:
        watchers.start_soon(_repeated, HEALTH_EVERY_SECONDS, lambda: _check_health(http, load))
        watchers.start_soon(_repeated, SAMPLE_EVERY_SECONDS, lambda: _sample(pid, load))
        async with anyio.create_task_group() as group:
            for number in range(clients):
                group.start_soon(_client, http, load, random.Random(number), questions, end)
        load.lag = _lag((await http.get("/metrics")).text)
        watchers.cancel_scope.cancel()
    return load


def _lag(metrics: str) -> dict[float, float]:
    """Return how many looks at the event loop were at most so many seconds late."""
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    buckets = (each for each in families["wellread_event_loop_lag_seconds"].samples if each.name.endswith("_bucket"))
    return {float(each.labels["le"]): each.value for each in buckets}


def _lag_quantile(lag: dict[float, float], share: float) -> float:
    """Return a quantile in seconds, taken as evenly spread inside its bucket as Prometheus does."""
    wanted = share * max(lag.values())
    upper = min(bound for bound, count in lag.items() if count >= wanted)
    lower, below = max(((bound, count) for bound, count in lag.items() if bound < upper), default=(0.0, 0.0))
    return lower if upper == float("inf") else lower + (upper - lower) * (wanted - below) / (lag[upper] - below)


async def _client(http: httpx2.AsyncClient, load: Load, draw: random.Random, questions: list[str], end: float) -> None:
    while time.monotonic() < end:
        start = time.monotonic()
        kind, wait = await _asked(http, load, draw.choice(questions))
        load.ends[kind] += 1
        if kind == "answered":
            load.seconds.append(time.monotonic() - start)
        await anyio.sleep(wait)


async def _asked(http: httpx2.AsyncClient, load: Load, question: str) -> tuple[str, float]:
    """Ask one question; gives how it ended, and how long to wait."""
    body = {"model": "wellread-quick", "stream": True, "messages": [{"role": "user", "content": question}]}
    try:
        async with http.stream("POST", "/v1/chat/completions", json=body) as reply:
            if reply.status_code == httpx2.codes.TOO_MANY_REQUESTS:
                return "429", float(reply.headers["retry-after"])
            text = "".join([piece async for piece in reply.aiter_text()])
    except httpx2.HTTPError as error:
        return f"failed: {type(error).__name__}", 1.0
    if reply.status_code != httpx2.codes.OK:
        return f"failed: {reply.status_code}", 1.0
    if '"error":' in text or not text.rstrip().endswith("data: [DONE]"):
        return "failed: in the stream", 1.0
    chunks = (json.loads(line.removeprefix("data: ")) for line in text.splitlines() if '"coverage"' in line)
    load.pages += [chunk["coverage"]["read"] for chunk in chunks if chunk.get("coverage")]
    return "answered", 0.0


async def _repeated(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await anyio.sleep(seconds)


async def _check_health(http: httpx2.AsyncClient, load: Load) -> None:
    start = time.perf_counter()
    await http.get("/health")
    load.health_ms.append((time.perf_counter() - start) * 1000)


async def _sample(pid: int, load: Load) -> None:
    held = await anyio.to_thread.run_sync(lambda: memory_bytes(family(pid)))
    load.memory.append((time.monotonic(), held))


def report(load: Load, before: tuple[int, int], after: tuple[int, int], spent: float, args: argparse.Namespace) -> str:
    """Write the tables."""
    rows = [[kind, count] for kind, count in load.ends.most_common()]
    half = [held / 1e6 for _, held in load.memory[len(load.memory) // 2 :]]
    third = max(1, len(half) // 3)
    held = (fmean(half[:third]), fmean(half[-third:]), max(half))
    figures = [
        ["seconds an answer, median, p95", f"{median(load.seconds):.1f}, {quantiles(load.seconds, n=20)[-1]:.1f}"],
        ["pages read, median", f"{median(load.pages):.0f}"],
        [
            "event loop late by ms, median, p99",
            ", ".join(f"{_lag_quantile(load.lag, q) * 1000:.0f}" for q in (0.5, 0.99)),
        ],
        ["GET /health in ms, median, p99, most", ", ".join(f"{ms:.0f}" for ms in _spread(load.health_ms))],
        ["MB in the last half, its first third, its last, most", ", ".join(f"{each:.0f}" for each in held)],
        ["processes, descriptors before", f"{before[0]}, {before[1]}"],
        ["processes, descriptors after", f"{after[0]}, {after[1]}"],
        ["CPU seconds a second", f"{spent / (args.minutes * 60):.2f}"],
    ]
    title = f"{args.clients} clients for {args.minutes:g} minutes."
    return f"{title}\n\n{table(('requests that ended', 'count'), rows)}\n\n{table(('figure', ''), figures)}"


def _spread(values: list[float]) -> tuple[float, float, float]:
    return median(values), quantiles(values, n=100)[-1], max(values)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
