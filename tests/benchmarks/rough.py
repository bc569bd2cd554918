"""Measures the reading on a web as it is: slow pages, hanging ones, forbidden ones and broken ones.

    python -m tests.benchmarks.rough [--repeat 20]

A page takes .4 s in the median; 4 % never come, 6 % are forbidden, 3 % broken. The context should be ready soon after
the 45th page has come, or after the deadline where that comes first.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median

import anyio

from agent.build import open_tools
from agent.settings import Settings
from agent.tools import Tools
from retrieval.read import PageFetcher
from retrieval.types import Document, Hit, Page, Skipped
from tests.benchmarks import direct, servers
from tests.benchmarks.tables import table, write

WEATHER = ("--median-s", "0.4", "--hang", "0.04", "--forbidden", "0.06", "--broken", "0.03")
WEBS: Mapping[str, tuple[str, ...]] = {"calm": (), "rough": WEATHER}
ENOUGH_PAGES = 45


@dataclass(slots=True)
class Clocked:
    """A fetcher that notes when each page has come."""

    fetcher: PageFetcher
    arrivals: dict[str, float] = field(default_factory=dict)

    async def fetch(self, hit: Hit) -> Page | Document | Skipped:
        """Fetch a page."""
        outcome = await self.fetcher.fetch(hit)
        if isinstance(outcome, Page):
            self.arrivals[outcome.url] = time.monotonic()
        return outcome


@dataclass(frozen=True, slots=True)
class Run:
    """One question: pages read, seconds in all and of the reading of pages, and what the context took after those."""

    read: int
    total: float
    reading: float
    after_enough: float
    after_last: float


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--repeat", type=int, default=20, help="questions")
    repeat = cli.parse_args().repeat
    servers.require_data()
    asked = [row["question"] for row in servers.questions("qa", ("rurag", "clapnq"))][::7][:repeat]
    rows = []
    for name, options in WEBS.items():
        with servers.web(*options) as url:
            settings = servers.settings(url)
            rows.append(row(name, anyio.run(measured, asked, settings)))
    write("rough", report(rows, len(asked), settings))


async def measured(asked: list[str], settings: Settings) -> list[Run]:
    """Read for every question, one after another."""
    async with open_tools(settings) as tools:
        await direct.read("warm up", tools, pages=1)
        return [await _one(text, tools) for text in asked]


async def _one(text: str, tools: Tools) -> Run:
    clocked = Clocked(tools.fetcher)
    start = time.monotonic()
    reading = await direct.read(text, replace(tools, fetcher=clocked), tools.settings.pages)
    end = time.monotonic()
    record, timings = reading.coverage, reading.timings
    arrivals = sorted(clocked.arrivals[page.url] for page in record.pages if page.status == "read")
    reading_start = start + timings.search / 1000
    reference = due(arrivals, reading_start + tools.settings.read_seconds)
    stage_seconds = max(timings.fetch, timings.extract) / 1000
    return Run(record.read, end - start, stage_seconds, end - reference, end - arrivals[-1])


def due(arrivals: list[float], deadline: float) -> float:
    """Return when enough pages had come, or the deadline where that came first. `arrivals` ascend."""
    enough = arrivals[ENOUGH_PAGES - 1] if len(arrivals) >= ENOUGH_PAGES else deadline
    return min(enough, deadline)


def row(name: str, runs: list[Run]) -> list[object]:
    """Sum up one web."""
    after_enough, after_last = [run.after_enough for run in runs], [run.after_last for run in runs]
    total, read = [run.total for run in runs], [run.read for run in runs]
    longest = max(run.reading for run in runs)
    return [
        name,
        *(median(read), min(read)),
        *(median(total), max(total), longest),
        *(median(after_enough), max(after_enough)),
        *(median(after_last), max(after_last)),
    ]


def report(rows: list[list[object]], count: int, settings: Settings) -> str:
    """Write one line for each web."""
    head = [
        "web",
        *("pages read, median", "lowest"),
        *("seconds, median", "highest", "of them reading pages, highest"),
        *(f"context after page {ENOUGH_PAGES} or the deadline, median", "highest"),
        *("context after the last page, median", "highest"),
    ]
    told = f"{count} questions; {settings.read_seconds:g} s to read {settings.pages} pages, nothing cached."
    return f"{told}\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
