"""Asks engines all queries and fuses the results into one order.

The first engines in order of preference are asked together; the next one takes over when one of them fails or has no
more while too little is in hand. Hits are fused by reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009) over
engines and queries. One engine down is noted; all down raises SearchFailed: an outage must never look like "no
results". What is asked next follows from what was answered, never from the clock, so that a recording can be replayed.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, islice
from typing import Protocol

import anyio

from retrieval import urls
from retrieval.errors import EngineCooling, EngineError, SearchFailed
from retrieval.limits import SearchLimits
from retrieval.types import EngineReport, EngineStatus, Hit, PartialPage, Query, SearchFilters

RRF_CONSTANT = 60
# The user's own files and what was read before are searched beside the web: none takes the other's place.
MEMORY = "memory"
BESIDE_THE_WEB = frozenset({"local", MEMORY})
DOWN = frozenset({"failed", "cooling"})


class SearchEngine(Protocol):
    """One way to search the web."""

    @property
    def name(self) -> str:
        """The name in settings, reports and errors."""
        ...

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page (counted from 1) in the engine's order; () when there are no more.

        A PartialPage tells what the page lacks. Raises EngineError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a search: distinct hits in fused order, and what each engine that was needed did."""

    hits: tuple[Hit, ...]
    engines: tuple[EngineReport, ...]


@dataclass(slots=True)
class _Listing:
    """The results of one query on one engine so far, by result page."""

    engine: SearchEngine
    query: Query
    filters: SearchFilters
    pages: dict[int, tuple[Hit, ...]] = field(default_factory=dict)
    errors: list[EngineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ms: int = 0
    asked: bool = False
    ended: bool = False

    @property
    def hits(self) -> list[Hit]:
        return [hit for page in sorted(self.pages) for hit in self.pages[page]]

    def take(self, number: int, hits: tuple[Hit, ...]) -> None:
        self.pages[number] = hits
        self.ended = self.ended or not hits
        if isinstance(hits, PartialPage):
            self.notes.append(hits.note)

    def failed(self, error: EngineError) -> None:
        self.errors.append(error)
        self.ended = True


class _Pool:
    """Engines that stand in for each other, so many asked at once. `listings` are by engine, then by query."""

    def __init__(self, engines: Sequence[SearchEngine], queries: Sequence[Query], limits: SearchLimits) -> None:
        self._limits = limits
        filters = [_filters(query) for query in queries]
        pairs = list(zip(queries, filters, strict=True))
        self._rows = [[_Listing(engine, query, wanted) for query, wanted in pairs] for engine in engines]
        self._waiting = deque(self._rows)
        self._in_hand: set[str] = set()
        self.listings = [listing for row in self._rows for listing in row]

    async def run(self, at_once: int) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(self._take_turns)

    async def _take_turns(self) -> None:
        """Ask one engine after another, as long as any query needs more."""
        while self._waiting and any(self._needs(listing.query) for listing in self._waiting[0]):
            async with anyio.create_task_group() as tasks:
                for listing in self._waiting.popleft():
                    tasks.start_soon(self._list, listing)

    def _needs(self, query: Query) -> bool:
        """Tell whether too little is in hand, or no engine has answered this query yet."""
        answered = any(listing.pages for listing in self.listings if listing.query == query)
        return not answered or len(self._in_hand) < self._limits.wanted

    async def _list(self, listing: _Listing) -> None:
        """Ask for result pages, some at once, until this listing ends or all listings together hold enough."""
        numbers = count(1)
        while not listing.ended and self._needs(listing.query):
            batch = list(islice(numbers, 1 if not listing.pages else self._limits.result_pages_at_once))
            batch = [number for number in batch if number <= self._limits.result_pages]
            if not batch:
                return
            async with anyio.create_task_group() as tasks:
                for number in batch:
                    tasks.start_soon(self._result_page, listing, number)

    async def _result_page(self, listing: _Listing, number: int) -> None:
        start = time.monotonic()
        listing.asked = True
        try:
            with anyio.fail_after(self._limits.engine_seconds):
                hits = await listing.engine.search(listing.query, number)
        except TimeoutError:
            listing.failed(EngineError(f"no answer within {self._limits.engine_seconds:g} s"))
        except EngineError as error:
            listing.failed(error)
        else:
            listing.take(number, hits)
            self._in_hand.update(urls.key(hit.url) for hit in _usable(hits, listing.filters))
        listing.ms = max(listing.ms, round((time.monotonic() - start) * 1000))

    @property
    def reports(self) -> list[EngineReport]:
        return [_report(row) for row in self._rows if any(listing.asked for listing in row)]


async def search(queries: Sequence[Query], engines: Sequence[SearchEngine], limits: SearchLimits) -> Found:
    """Ask the engines, in order of preference, all queries, page after page, until enough distinct URLs are in hand.

    Raises SearchFailed when no engine that searches the web could answer and nothing was found beside it.
    """
    web = _Pool([engine for engine in engines if engine.name not in BESIDE_THE_WEB], queries, limits)
    beside = _Pool([engine for engine in engines if engine.name in BESIDE_THE_WEB], queries, limits)
    with anyio.move_on_after(limits.total_seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(web.run, limits.engines_at_once)
            tasks.start_soon(beside.run, len(engines))
    _refuse_outage(web.reports, beside.reports)
    place = {engine.name: i for i, engine in enumerate(engines)}
    listings = sorted(web.listings + beside.listings, key=lambda listing: place[listing.engine.name])
    hits = fuse([row.hits for row in listings], [row.filters for row in listings])
    asked_for = [domain for query in queries for domain in query.filters.domains]
    reports = sorted(web.reports + beside.reports, key=lambda report: place[report.name])
    return Found(spread(hits, limits.pages_a_site, asked_for), tuple(reports))


def _refuse_outage(web: Sequence[EngineReport], beside: Sequence[EngineReport]) -> None:
    """Raise SearchFailed when all engines that search the web are down and nothing was found beside it."""
    found = any(report.results for report in (*web, *beside))
    if not found and all(report.status in DOWN for report in web or beside):
        down = [report for report in (*web, *beside) if report.status in DOWN]
        raise SearchFailed({report.name: report.error or "no answer in time" for report in down})


def _report(row: Sequence[_Listing]) -> EngineReport:
    """Say what one engine did for all queries."""
    results = sum(len(listing.hits) for listing in row)
    errors = [error for listing in row for error in listing.errors]
    troubles = [str(error) for error in errors] + [note for listing in row for note in listing.notes]
    ms = max(listing.ms for listing in row)
    status: EngineStatus = "failed"
    if any(listing.pages for listing in row):
        status = "ok" if results else "empty"
    elif errors and all(isinstance(error, EngineCooling) for error in errors):
        status = "cooling"
    return EngineReport(row[0].engine.name, status, results, ms, next(iter(troubles), None))


def _filters(query: Query) -> SearchFilters:
    """Write a recency as a first day."""
    today = datetime.now(UTC).date()
    return replace(query.filters, after=query.filters.first_day(today))


def fuse(
    listings: Sequence[Sequence[Hit]], filters: Sequence[SearchFilters], constant: int = RRF_CONSTANT
) -> tuple[Hit, ...]:
    """Merge result lists by reciprocal rank; one entry per page, the first seen; filtered after the engines did.

    The smaller the `constant`, the more a first place counts beside places in many lists.
    """
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for listing, wanted in zip(listings, filters, strict=True):
        for rank, hit in enumerate(_usable(listing, wanted), 1):
            key = urls.key(hit.url)
            hits.setdefault(key, hit)
            scores[key] = scores.get(key, 0.0) + 1 / (constant + rank)
    return tuple(hits[key] for key in sorted(hits, key=lambda key: -scores[key]))


def _usable(hits: Sequence[Hit], filters: SearchFilters) -> Iterator[Hit]:
    """Leave out what cannot be fetched or is not wanted; addresses become canonical."""
    for hit in hits:
        url = urls.canonical(hit.url) or urls.local_file(hit.url)
        if url is not None and passes(hit, filters):
            yield replace(hit, url=url)


def spread(hits: Sequence[Hit], pages_a_site: int, asked_for: Sequence[str] = ()) -> tuple[Hit, ...]:
    """Let the first pages of each site keep their place and put its others at the end, in order.

    Sites on a domain that was asked for, and local files, keep all places.
    """
    seen: Counter[str] = Counter()
    kept: list[Hit] = []
    put_off: list[Hit] = []
    for hit in hits:
        free = urls.local_file(hit.url) or any(urls.within(hit.url, domain) for domain in asked_for)
        site = urls.host_key(hit.url)
        seen[site] += 1
        (kept if free or seen[site] <= pages_a_site else put_off).append(hit)
    return (*kept, *put_off)


def preferring(hits: Sequence[Hit], domains: Sequence[str]) -> tuple[Hit, ...]:
    """Put pages on some domains first; the order is kept otherwise."""
    return tuple(sorted(hits, key=lambda hit: not any(urls.within(hit.url, domain) for domain in domains)))


def passes(hit: Hit, filters: SearchFilters) -> bool:
    """Tell whether a hit satisfies the filters. A hit without a date passes the date filters: engines often omit it."""
    if filters.domains and not any(urls.within(hit.url, domain) for domain in filters.domains):
        return False
    if any(urls.within(hit.url, domain) for domain in filters.excluded_domains):
        return False
    day = (hit.date or "")[:10]
    return not (day and ((filters.after and day < filters.after) or (filters.before and day > filters.before)))
