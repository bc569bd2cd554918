"""Searches what was read before: by the vector of a query and by its words, fused by rank.

Knows no store. A page counts once, by its best passage. What the embedder calls unrelated is left out, and so is a page
that shares too few of the query's words: what was once read on other things must not crowd out the web's results.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import anyio.to_thread
from anyio import CapacityLimiter

from retrieval import words
from retrieval.errors import EmbedderUnavailable, EngineError, MemoryUnavailable
from retrieval.limits import MemoryLimits
from retrieval.memory import TolerantMemory
from retrieval.rank import Embedder
from retrieval.search import MEMORY, fuse, passes
from retrieval.types import Hit, PartialPage, Query, SearchFilters

# What tells little: one or two letters of an alphabet.
SHORT = re.compile(r"[^\W\d_]{1,2}")
# A page that shares so many of the query's words may be about it, whatever its vectors say.
LEAST_SHARE = 0.5
BY_WORDS_ONLY = "searched by words only: the embedder fails"


class MemoryEngine:
    """One engine over a memory. `embedder` is the one whose vectors are kept there."""

    name = MEMORY

    def __init__(self, memory: TolerantMemory, embedder: Embedder, limits: MemoryLimits) -> None:
        self._memory, self._embedder, self._limits = memory, embedder, limits
        self._threads = CapacityLimiter(limits.threads)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page; there are no more. Raises EngineError."""
        if page > 1:
            return ()
        try:
            return await anyio.to_thread.run_sync(self._hits, query, limiter=self._threads, abandon_on_cancel=True)
        except MemoryUnavailable as error:
            raise EngineError("cannot be read now") from error

    def _hits(self, query: Query) -> tuple[Hit, ...]:
        count = self._limits.near_filtered if _narrow(query.filters) else self._limits.near
        by_words = self._by_words(query, count)
        try:
            by_vector = self._by_vector(query, count)
        except EmbedderUnavailable:
            found = PartialPage(by_words[: self._limits.results])
            found.note = BY_WORDS_ONLY
            return found
        return fuse([by_vector, by_words], [SearchFilters()] * 2)[: self._limits.results]

    def _by_vector(self, query: Query, count: int) -> list[Hit]:
        vector = self._embedder.embed((query.text,), "query")[0]
        floor = self._embedder.unrelated_below
        near = self._memory.near(vector, count)
        return _first([each.hit for each in near if floor is None or each.cosine >= floor], query.filters)

    def _by_words(self, query: Query, count: int) -> list[Hit]:
        stems = telling(words.stems(query.text, query.language or "en"))
        shared = self._memory.sharing(stems, count if _narrow(query.filters) else 2 * self._limits.results)
        return _first([each.hit for each in shared if len(each.stems) >= LEAST_SHARE * len(stems)], query.filters)


def telling(stems: Sequence[str]) -> list[str]:
    """Return the stems that tell what a query is about, each once; all where none does."""
    distinct = list(dict.fromkeys(stems))
    return [stem for stem in distinct if words.IDEOGRAPHS.search(stem) or not SHORT.fullmatch(stem)] or distinct


def _first(hits: Sequence[Hit], filters: SearchFilters) -> list[Hit]:
    """Return each page once, by its best passage, as far as the filters let it pass.

    A day is asked for only of what has one: the web's engines have looked at that themselves, a memory must.
    """
    wanted = replace(filters, after=filters.first_day(datetime.now(UTC).date()))
    dated = bool(wanted.after or wanted.before)
    kept: dict[str, Hit] = {}
    for hit in hits:
        if passes(hit, wanted) and (hit.date or not dated):
            kept.setdefault(hit.url, hit)
    return list(kept.values())


def _narrow(filters: SearchFilters) -> bool:
    return bool(filters.domains or filters.excluded_domains or filters.recency or filters.after or filters.before)
