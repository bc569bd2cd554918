"""Asks every engine every query and fuses the results into one order.

Hits are fused by reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009) over engines and queries. One engine
down is noted; all down raises SearchFailed: an outage must never look like "no results".
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Protocol

import anyio

from retrieval import urls
from retrieval.errors import EngineError, SearchFailed
from retrieval.limits import SearchLimits
from retrieval.types import EngineReport, Hit, Query, SearchFilters

RRF_CONSTANT = 60


class SearchEngine(Protocol):
    """One way to search the web."""

    @property
    def name(self) -> str:
        """The name in settings, reports and errors."""
        ...

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page (counted from 1) in the engine's order; () when there are no more.

        Raises EngineError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a search: distinct hits in fused order, and what each engine did."""

    hits: tuple[Hit, ...]
    engines: tuple[EngineReport, ...]


@dataclass(slots=True)
class _Listing:
    """The results of one query on one engine so far, by result page."""

    engine: str
    query: Query
    pages: dict[int, tuple[Hit, ...]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    ms: int = 0
    ended: bool = False

    @property
    def hits(self) -> list[Hit]:
        return [hit for page in sorted(self.pages) for hit in self.pages[page]]


async def search(queries: Sequence[Query], engines: Sequence[SearchEngine], limits: SearchLimits) -> Found:
    """Ask all engines all queries, page after page, until enough distinct URLs are in hand.

    Raises SearchFailed when not one result page came from any engine.
    """
    listings = [_Listing(engine.name, query) for engine in engines for query in queries]
    with anyio.move_on_after(limits.total_seconds):
        async with anyio.create_task_group() as tasks:
            pairs = [(engine, query) for engine in engines for query in queries]
            for (engine, query), listing in zip(pairs, listings, strict=True):
                tasks.start_soon(_list, engine, query, listing, listings, limits)
    reports = tuple(_report(engine.name, [row for row in listings if row.engine == engine.name]) for engine in engines)
    if all(report.status == "failed" for report in reports):
        raise SearchFailed({report.name: report.error or "no answer in time" for report in reports})
    return Found(fuse([row.hits for row in listings], [row.query.filters for row in listings]), reports)


async def _list(
    engine: SearchEngine, query: Query, listing: _Listing, listings: list[_Listing], limits: SearchLimits
) -> None:
    """Ask for result pages, some at once, until this listing ends or all listings together hold enough."""
    numbers = count(1)
    while not listing.ended and _distinct(listings) < limits.wanted:
        batch = list(islice(numbers, 1 if not listing.pages else limits.result_pages_at_once))
        batch = [number for number in batch if number <= limits.result_pages]
        if not batch:
            return
        async with anyio.create_task_group() as tasks:
            for number in batch:
                tasks.start_soon(_result_page, engine, query, number, listing, limits)


async def _result_page(
    engine: SearchEngine, query: Query, number: int, listing: _Listing, limits: SearchLimits
) -> None:
    start = time.monotonic()
    try:
        with anyio.fail_after(limits.engine_seconds):
            hits = await engine.search(query, number)
    except TimeoutError:
        listing.errors.append(f"no answer within {limits.engine_seconds:g} s")
        listing.ended = True
    except EngineError as error:
        listing.errors.append(str(error))
        listing.ended = True
    else:
        listing.pages[number] = hits
        listing.ended = listing.ended or not hits
    listing.ms = max(listing.ms, round((time.monotonic() - start) * 1000))


def _distinct(listings: list[_Listing]) -> int:
    return len({urls.key(hit.url) for listing in listings for hit in listing.hits})


def _report(name: str, listings: list[_Listing]) -> EngineReport:
    results = sum(len(listing.hits) for listing in listings)
    answered = any(listing.pages for listing in listings)
    errors = [error for listing in listings for error in listing.errors]
    error = errors[0] if errors else None
    ms = max((listing.ms for listing in listings), default=0)
    status = "ok" if results else "empty" if answered else "failed"
    return EngineReport(name, status, results, ms, error)  # type: ignore[arg-type]


def fuse(listings: Sequence[Sequence[Hit]], filters: Sequence[SearchFilters]) -> tuple[Hit, ...]:
    """Merge result lists by reciprocal rank; one entry per page, the first seen; filtered after the engines did."""
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for listing, wanted in zip(listings, filters, strict=True):
        rank = 0
        for hit in listing:
            url = urls.canonical(hit.url) or urls.local_file(hit.url)
            if url is None or not passes(hit, wanted):
                continue
            rank += 1
            key = urls.key(url)
            hits.setdefault(key, Hit(url, hit.title, hit.snippet, hit.date))
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_CONSTANT + rank)
    return tuple(hits[key] for key in sorted(hits, key=lambda key: -scores[key]))


def passes(hit: Hit, filters: SearchFilters) -> bool:
    """Tell whether a hit satisfies the filters. A hit without a date passes the date filters: engines often omit it."""
    if filters.domains and not any(urls.within(hit.url, domain) for domain in filters.domains):
        return False
    if any(urls.within(hit.url, domain) for domain in filters.excluded_domains):
        return False
    day = (hit.date or "")[:10]
    return not (day and ((filters.after and day < filters.after) or (filters.before and day > filters.before)))
