"""The rounds of one question: each searches, reads and ranks, its pages together with those of the rounds before.

Knows no model but through what it is given to search.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import anyio.to_thread

from agent import progress
from agent.coverage import page_record
from agent.errors import SearchUnavailable
from agent.named import named_first
from agent.reason import Emit
from agent.settings import EFFORTS
from agent.tools import Tools
from agent.types import PageOutcome, Plan, Progress, Question
from retrieval import urls
from retrieval.ahead import Ahead
from retrieval.chunk import chunk
from retrieval.computing import computed_by
from retrieval.errors import SearchFailed
from retrieval.further import further_queries, search_further
from retrieval.limits import FetchLimits, SearchLimits
from retrieval.rank import Known, Ranking, rank
from retrieval.read import OnPage, Outcome, ReadPages, read_pages
from retrieval.rerank import reranked
from retrieval.search import Found, preferring, search
from retrieval.types import Document, EngineReport, Hit, Query

PROGRESS_EVERY = 10
AHEAD_PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class Rounds:
    """The reading of one question so far. `earlier` are pages of the turn before, ranked along with those read now.

    `again` are the queries of every round after the first. Times in seconds.
    """

    question: Question
    plan: Plan
    limits: FetchLimits
    tools: Tools
    emit: Emit
    earlier: Sequence[Document] = ()
    found: list[Found] = field(default_factory=list)
    read: list[ReadPages] = field(default_factory=list)
    ranking: Ranking = field(default_factory=lambda: Ranking(()))
    search_seconds: float = 0.0
    rank_seconds: float = 0.0
    again: list[tuple[Query, ...]] = field(default_factory=list)
    _known: Known = field(default_factory=Known)

    async def first(self) -> None:
        """Search what was planned, and read. Raises SearchUnavailable."""
        await self._read(await self.find())

    async def find(self) -> Found:
        """Search what was planned, and further for what its results made worth it. Raises SearchUnavailable."""
        begun = time.monotonic()
        found = await self._search()
        if not self.question.exact and EFFORTS[self.question.effort].queries and self.plan.queries:
            names = further_queries(self.plan.queries[0], found.hits, self._search_limits, self.plan.language)
            self.plan = replace(self.plan, further=(*self.plan.further, *names))
        if self.plan.further:
            further = tuple(query.text for query in self.plan.further)
            await self.emit(Progress(progress.searching_further(self.plan), searching=further))
            found = await search_further(found, self.plan.further, self.tools.engines, self._search_limits)
        self.search_seconds += time.monotonic() - begun
        return replace(found, hits=_distinct(self._named, self._ordered(found.hits)))

    async def another(self, queries: Sequence[Query], missing: str) -> None:
        """Search what the rounds before lacked, and read pages that were not asked for before."""
        begun = time.monotonic()
        self.plan = replace(self.plan, further=(*self.plan.further, *queries))
        self.again.append(tuple(queries))
        texts = tuple(query.text for query in queries)
        await self.emit(Progress(progress.another_round(self.plan.language, missing, texts), searching=texts))
        able = replace(self.found[-1], hits=())
        found = await search_further(able, queries, self.tools.engines, self._search_limits)
        asked = {urls.key(outcome.url) for read in self.read for outcome in read.outcomes}
        self.search_seconds += time.monotonic() - begun
        new = tuple(hit for hit in self._ordered(found.hits) if urls.key(hit.url) not in asked)
        await self._read(replace(found, hits=new))

    def remember(self) -> None:
        """Have the memory, if there is one, keep what was read and the vectors that came of it."""
        if self.tools.keeper is not None:
            read = (document for each in self.read for document in each.documents)
            self.tools.keeper.note(read, self._known.vectors)

    @property
    def documents(self) -> list[Document]:
        """All pages that were read, and those of the turn before that were not read again."""
        now = [document for read in self.read for document in read.documents]
        addresses = {document.url for document in now}
        return now + [document for document in self.earlier if document.url not in addresses]

    @property
    def _named(self) -> list[Hit]:
        """The pages that the user named; the first to be read in the first round."""
        return [Hit(url, url) for address in self.plan.addresses if (url := urls.canonical(address))]

    def _ordered(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        return preferring(hits, self.question.filters.preferred_domains)

    @property
    def _search_limits(self) -> SearchLimits:
        limits = self.tools.search_limits
        return replace(limits, wanted=round(limits.wanted_a_page * self.limits.wanted))

    async def _search(self) -> Found:
        if not self.plan.queries:
            return Found((), ())
        texts = tuple(query.text for query in self.plan.queries)
        await self.emit(Progress(progress.searching(self.plan), searching=texts, plan=self.plan))
        try:
            return await search(self.plan.queries, self.tools.engines, self._search_limits)
        except SearchFailed as error:
            if self.plan.addresses:
                down = (EngineReport(name, "failed", 0, 0, why) for name, why in error.engines.items())
                return Found((), tuple(down))
            raise SearchUnavailable(error.engines) from error

    async def _read(self, found: Found) -> None:
        """Read the pages that were found, and rank them with all others."""
        self.found.append(found)
        line = progress.found(self.plan, len(found.hits), self.limits.wanted)
        await self.emit(Progress(line, found=tuple(hit.url for hit in found.hits), plan=self.plan))
        ahead = self._ahead()
        outcome = await self._read_pages(found.hits, ahead, self._reporter(ahead))
        self.read.append(outcome)
        begun = time.monotonic()
        await self._rank(ahead)
        self.rank_seconds += time.monotonic() - begun

    def _ahead(self) -> Ahead:
        tools = self.tools
        return Ahead(
            self.plan.asked,
            self.plan.language,
            self.limits.wanted,
            tools.embedder,
            tools.rank_limits,
            tools.chunk_limits,
            self._known,
        )

    def _reporter(self, ahead: Ahead) -> OnPage:
        async def on_page(read: int, hit: Hit, outcome: Outcome) -> None:
            line, title = "", hit.title
            if isinstance(outcome, Document):
                # A page from the memory came at once, and its vectors are known: nothing of it can be done ahead.
                if not (outcome.cached and self.tools.keeper):
                    ahead.add(outcome)
                title = outcome.title
                line = "" if read % PROGRESS_EVERY else progress.reading(self.plan, read, title)
            await self.emit(Progress(line, page=PageOutcome(hit.url, title, page_record(outcome))))

        return on_page

    async def _read_pages(self, hits: Sequence[Hit], ahead: Ahead, on_page: OnPage) -> ReadPages:
        """Read the pages, and embed passages of those in hand meanwhile."""
        tools, reading = self.tools, True

        async def embed() -> None:
            while reading:
                if not await computed_by(tools.rank_limiter, ahead.step):
                    await anyio.sleep(AHEAD_PAUSE_SECONDS)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(embed)
            outcome = await read_pages(hits, tools.fetcher, tools.extractor, self.limits, on_page)
            reading = False
        return outcome

    async def _rank(self, ahead: Ahead) -> None:
        tools = self.tools
        self.ranking = await computed_by(tools.rank_limiter, self._ranked, ahead)
        if tools.reranker is not None:
            # It has no turn to take: a reranker waits for what no Python computes.
            again = partial(reranked, ahead.queries[0], self.ranking, tools.reranker, tools.rank_limits)
            self.ranking = await anyio.to_thread.run_sync(again, limiter=tools.rank_limiter)
        first = self.read[0].outcomes[: len(_distinct(self._named, ()))]
        named = [outcome for outcome in first if isinstance(outcome, Document)]
        self.ranking = named_first(self.ranking, named, tools.chunk_limits)

    def _ranked(self, ahead: Ahead) -> Ranking:
        tools = self.tools
        passages = [passage for document in self.documents for passage in chunk(document, tools.chunk_limits)]
        return rank(ahead.queries, passages, tools.embedder, tools.rank_limits, ahead.language, ahead.known)


def _distinct(first: Sequence[Hit], then: Sequence[Hit]) -> tuple[Hit, ...]:
    """Join hits, each address once."""
    kept: dict[str, Hit] = {}
    for hit in (*first, *then):
        kept.setdefault(urls.key(hit.url), hit)
    return tuple(kept.values())
