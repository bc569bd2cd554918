"""Reads the pages of a hit list: fetches and cleans them side by side until enough are read or the time is over.

The outcome is in hit order, never in order of arrival, so the same pages give the same source numbers. Slow pages hold
nobody back: after `hedge_seconds` the next hit in reserve is started beside them.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from retrieval.computing import computed
from retrieval.limits import FetchLimits
from retrieval.near_duplicates import Sketch, sketch
from retrieval.types import Document, Hit, Page, Skipped, SkipReason

Outcome = Document | Skipped
# Called after each page with the count of pages read so far, the page's hit and its outcome.
OnPage = Callable[[int, Hit, Outcome], Awaitable[None]]


class PageFetcher(Protocol):
    """Fetches one page; see `retrieval.fetch.Fetcher`."""

    async def fetch(self, hit: Hit) -> Page | Document | Skipped:
        """Fetch one page; a Document where it was cleaned already, elsewhere or before."""
        ...


class PageExtractor(Protocol):
    """Cleans one page; see `retrieval.extract.Extractor`."""

    async def extract(self, page: Page) -> Document | Skipped:
        """Clean one page."""
        ...


@dataclass(frozen=True, slots=True)
class ReadPages:
    """The outcome of every page that was asked, in hit order. Times in milliseconds from the start of the stage."""

    outcomes: tuple[Outcome, ...]
    deadline_hit: bool
    fetch_ms: int
    extract_ms: int

    @property
    def documents(self) -> tuple[Document, ...]:
        """The pages that were read, in hit order."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Document))


async def read_pages(
    hits: Sequence[Hit], fetcher: PageFetcher, extractor: PageExtractor, limits: FetchLimits, on_page: OnPage
) -> ReadPages:
    """Read up to `limits.wanted` pages of the hits within `limits.total_seconds`."""
    reader = _Reader(fetcher, extractor, limits, on_page)
    with anyio.move_on_after(limits.total_seconds) as deadline:
        await reader.run(hits)
    outcomes = tuple(reader.settled(hit) for hit in reader.asked)
    return ReadPages(outcomes, deadline.cancelled_caught, reader.fetch_ms, reader.extract_ms)


def _late(hit: Hit) -> Skipped:
    return Skipped(hit.url, SkipReason.LATE, "others were enough, or the time was over")


@dataclass(slots=True)
class _Reader:
    """One run. A place is held by a page that is on its way or read, and freed by one that is skipped or slow."""

    fetcher: PageFetcher
    extractor: PageExtractor
    limits: FetchLimits
    on_page: OnPage
    asked: list[Hit] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    sketches: dict[str, Sketch] = field(default_factory=dict)
    copy_of: dict[str, str] = field(default_factory=dict)
    read: int = 0
    fetch_ms: int = 0
    extract_ms: int = 0
    started: float = field(default_factory=time.monotonic)
    places: anyio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.places = anyio.Semaphore(self.limits.wanted)

    async def run(self, hits: Sequence[Hit]) -> None:
        async with anyio.create_task_group() as tasks:
            for hit in hits:
                await self.places.acquire()
                self.asked.append(hit)
                tasks.start_soon(self._page, hit, tasks)

    def settled(self, hit: Hit) -> Outcome:
        """Return what became of a hit; a document with the other addresses of its text."""
        outcome = self.outcomes.get(hit.url) or _late(hit)
        if isinstance(outcome, Document):
            copies = (each.url for each in self.asked if self.copy_of.get(each.url) == hit.url)
            return replace(outcome, also_at=tuple(copies))
        return outcome

    async def _page(self, hit: Hit, tasks: TaskGroup) -> None:
        place = _Place(self.places)
        outcome = await self._outcome(hit, place)
        drawn = None if isinstance(outcome, Skipped) else await computed(sketch, outcome.text)
        if self.read >= self.limits.wanted:
            return  # the last page wanted is in hand, and `on_page` is still told of it
        outcome = self._unless_copy(hit, outcome, drawn)
        self.outcomes[hit.url] = outcome
        if isinstance(outcome, Skipped):
            place.free()
        else:
            self.read += 1
        await self.on_page(self.read, hit, outcome)
        if self.read >= self.limits.wanted:
            tasks.cancel_scope.cancel()

    async def _outcome(self, hit: Hit, place: "_Place") -> Outcome:
        async with _hedged(place, self.limits.hedge_seconds):
            page = await self.fetcher.fetch(hit)
        self.fetch_ms = self._since_start()
        if not isinstance(page, Page):
            return page
        async with _hedged(place, self.limits.hedge_extract_seconds):
            outcome = await self.extractor.extract(page)
        self.extract_ms = self._since_start()
        return outcome

    def _unless_copy(self, hit: Hit, outcome: Outcome, drawn: Sketch | None) -> Outcome:
        """Let one page have a text: of all that hold it the first in hit order, whichever came first."""
        if drawn is None:
            return outcome
        same = [url for url, other in self.sketches.items() if drawn.same(other)]
        place = {each.url: i for i, each in enumerate(self.asked)}
        first = min([hit.url, *same], key=lambda url: place[url])
        if first != hit.url:
            return self._copy(hit.url, first, outcome)
        for url in same:
            self._retract(url, first)
        self.sketches[hit.url] = drawn
        return outcome

    def _retract(self, url: str, original: str) -> None:
        """Take back that a page was read: it is a copy of one that came later and stands before it."""
        document = self.outcomes[url]
        del self.sketches[url]
        self.read -= 1
        self.places.release()
        self.copy_of = {each: original if of == url else of for each, of in self.copy_of.items()}
        self.outcomes[url] = self._copy(url, original, document)

    def _copy(self, url: str, original: str, outcome: Outcome) -> Skipped:
        self.copy_of[url] = original
        return Skipped(url, SkipReason.DUPLICATE, f"the same text as {original}", 200, outcome.ms, outcome.bytes)

    def _since_start(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


@asynccontextmanager
async def _hedged(place: "_Place", seconds: float) -> AsyncIterator[None]:
    """Free the place when what runs inside takes longer than so many seconds."""

    async def free_later() -> None:
        await anyio.sleep(seconds)
        place.free()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(free_later)
        yield
        tasks.cancel_scope.cancel()


class _Place:
    """A place that is freed at most once."""

    def __init__(self, places: anyio.Semaphore) -> None:
        self._places: anyio.Semaphore | None = places

    def free(self) -> None:
        if self._places is not None:
            self._places.release()
            self._places = None
