"""Searches the sample web that every machine has: BM25 over titles and texts, in memory."""

import threading
from collections.abc import Sequence

import anyio.to_thread
import bm25s
import numpy as np
from numpy.typing import NDArray

from retrieval import urls, words
from retrieval.engines.snippet import snippet
from retrieval.sample_web import SampleWeb
from retrieval.sample_web.markup import SamplePage
from retrieval.types import Hit, Query

RESULTS_PER_PAGE = 10
# The rarity of a word that is in nearly half of the pages: such words choose no snippet.
COMMON = 1.2
# A page named after a word of the question is the page about it.
TITLE_WEIGHT = 1.0
NAME_WEIGHT = 2.0

Scores = NDArray[np.float32]


class SampleEngine:
    """Searches the pages of an open SampleWeb. The first search indexes them: about half a second for 500 pages."""

    name = "sample"

    def __init__(self, web: SampleWeb) -> None:
        self._web = web
        self._index: _PageIndex | None = None
        self._indexing = threading.Lock()

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page, best first; () when there are no more."""
        return await anyio.to_thread.run_sync(self._search, query, page)

    def _search(self, query: Query, page: int) -> tuple[Hit, ...]:
        if not _allowed(self._web.base_url, query):
            return ()
        with self._indexing:
            self._index = self._index or _PageIndex(self._web.pages)
        asked = sorted(set(words.stems(query.text, "en")))
        scores = self._index.scores(asked)
        order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        wanted = order[(page - 1) * RESULTS_PER_PAGE : page * RESULTS_PER_PAGE]
        weights = self._index.weights(asked)
        return tuple(self._hit(self._web.pages[i], weights) for i in wanted)

    def _hit(self, page: SamplePage, weights: dict[str, float]) -> Hit:
        return Hit(self._web.base_url + page.path, page.title, snippet(page.text, weights))


class _PageIndex:
    """Joins the scores of names, titles and texts."""

    def __init__(self, pages: Sequence[SamplePage]) -> None:
        self._texts = _FieldIndex([page.text for page in pages])
        self._titles = _FieldIndex([_bare_title(page) for page in pages])
        self._names = _FieldIndex([page.name for page in pages])

    def scores(self, asked: list[str]) -> Scores:
        """Return a score for each page, 0 without a word in common."""
        named = NAME_WEIGHT * self._names.scores(asked) + TITLE_WEIGHT * self._titles.scores(asked)
        return np.asarray(named + self._texts.scores(asked), dtype=np.float32)

    def weights(self, asked: list[str]) -> dict[str, float]:
        """Return how much each word tells about a page; common words only if there are no others."""
        rarities = {word: self._texts.rarity(word) for word in asked}
        return {word: rarity for word, rarity in rarities.items() if rarity > COMMON} or rarities


class _FieldIndex:
    """BM25 over one field of all pages."""

    def __init__(self, fields: Sequence[str]) -> None:
        corpus = [words.stems(field, "en") for field in fields]
        self._size = len(corpus)
        self._pages_with: dict[str, int] = {}
        for stems in corpus:
            for word in set(stems):
                self._pages_with[word] = self._pages_with.get(word, 0) + 1
        self._bm25 = bm25s.BM25()
        if self._pages_with:
            self._bm25.index(corpus, show_progress=False)

    def scores(self, asked: list[str]) -> Scores:
        """Return a score for each page, 0 without a word in common."""
        known = [word for word in asked if word in self._pages_with]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._bm25.get_scores(known), dtype=np.float32)

    def rarity(self, word: str) -> float:
        """Return the weight of a word: the fewer pages have it, the more it tells."""
        return float(np.log1p(self._size / (1 + self._pages_with.get(word, self._size))))


def _bare_title(page: SamplePage) -> str:
    """Return the title without the kind of page, which all pages of a kind share."""
    return page.title.rpartition(" (")[0]


def _allowed(base_url: str, query: Query) -> bool:
    filters = query.filters
    if filters.domains and not any(urls.within(base_url, domain) for domain in filters.domains):
        return False
    return not any(urls.within(base_url, domain) for domain in filters.excluded_domains)
