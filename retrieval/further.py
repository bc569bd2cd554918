"""Searches once more: for the clauses of a long question, and for names that the first results brought up."""

from collections.abc import Sequence
from dataclasses import replace

import anyio

from retrieval.bridge import bridges
from retrieval.clauses import clauses
from retrieval.errors import SearchFailed
from retrieval.limits import SearchLimits
from retrieval.search import MEMORY, Found, SearchEngine, fuse, search, spread
from retrieval.types import EngineReport, Hit, Query, SearchFilters

# Lists on different things share few pages, so their first places count: found .729 of 343 questions' evidence, where
# the constant of lists on one thing (60) found .717 (2026-11-24).
RRF_CONSTANT = 5


def further_queries(query: Query, hits: Sequence[Hit], limits: SearchLimits, language: str) -> tuple[Query, ...]:
    """Return the queries that should follow a first one, given its hits. Pure.

    A clause seldom names what it speaks of: each is asked alone, and once more with the likeliest name.
    """
    parts = clauses(query.text, min(limits.clauses, limits.further // 2))
    names = bridges(query.text, hits, min(limits.bridges, limits.further - 2 * len(parts)), language)
    texts = [f"{name} {query.text}" for name in names] + list(parts) + [f"{names[0]} {part}" for part in parts if names]
    return tuple(replace(query, text=text) for text in texts)


async def search_further(
    first: Found, queries: Sequence[Query], engines: Sequence[SearchEngine], limits: SearchLimits
) -> Found:
    """Ask further queries, a few results each, and fuse them with the first; each counts as much as all of that.

    Only the first engine that answered is asked, to spare the others, and the memory; their reports note failures.
    """
    answered = {report.name for report in first.engines if report.status == "ok"}
    able = [engine for engine in engines if engine.name in answered and engine.name != MEMORY][:1]
    able += [engine for engine in engines if engine.name in answered and engine.name == MEMORY]
    # One result page after another: of a batch of them most would be more than wanted.
    few = replace(limits, wanted=limits.further_wanted, result_pages_at_once=1)
    more: dict[int, Found] = {}

    async def ask(number: int) -> None:
        try:
            found = await search([queries[number]], able, few)
            more[number] = replace(found, hits=found.hits[: few.wanted])
        except SearchFailed as error:
            reports = tuple(EngineReport(name, "failed", 0, 0, why) for name, why in error.engines.items())
            more[number] = Found((), reports)

    async with anyio.create_task_group() as tasks:
        for number in range(len(queries) if able else 0):
            tasks.start_soon(ask, number)
    rounds = [first, *(more[number] for number in sorted(more))]
    hits = fuse([each.hits for each in rounds], [SearchFilters()] * len(rounds), RRF_CONSTANT)
    asked_for = [domain for query in queries for domain in query.filters.domains]
    return Found(spread(hits, limits.pages_a_site, asked_for), _added(rounds))


def _added(rounds: Sequence[Found]) -> tuple[EngineReport, ...]:
    """Add up what each engine did; an engine that answered once is not down."""
    first, *others = rounds
    reports = []
    for report in first.engines:
        further = [other for each in others for other in each.engines if other.name == report.name]
        results = report.results + sum(other.results for other in further)
        ms = report.ms + max((other.ms for other in further), default=0)
        error = next((each.error for each in (report, *further) if each.error), None)
        reports.append(replace(report, results=results, ms=ms, error=error))
    return tuple(reports)
