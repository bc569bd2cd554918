"""Puts a memory of what was read before the web, and keeps in it what is read.

`RememberedPages` gives pages that are fresh, and older ones where their site is down; `RememberedEmbedder` gives
vectors that are known; the `Keeper` writes beside the answers, and computes the vectors that lack while nobody asks.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from anyio import CapacityLimiter
from cachetools import LRUCache

from retrieval import urls
from retrieval.chunk import chunk
from retrieval.errors import EmbedderUnavailable
from retrieval.limits import ChunkLimits, MemoryLimits
from retrieval.memory import ReadPage, TolerantMemory
from retrieval.rank import Embedder, TextKind, Vectors, headed
from retrieval.read import PageFetcher
from retrieval.types import Document, Hit, Page, Passage, Skipped, SkipReason

log = logging.getLogger(__name__)

T = TypeVar("T")

# A pause between steps of idle work, in which a question may come.
IDLE_STEP_SECONDS = 0.02
# Why a page is not had today that was had before, and may be again.
SITE_DOWN = frozenset({SkipReason.TIMEOUT, SkipReason.NETWORK_ERROR, SkipReason.SERVER_ERROR, SkipReason.RATE_LIMITED})


class RememberedPages:
    """A fetcher before which a memory stands. `clock` is in Unix seconds."""

    def __init__(
        self,
        fetcher: PageFetcher,
        memory: TolerantMemory,
        limits: MemoryLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher, self._memory, self._limits, self._clock = fetcher, memory, limits, clock
        self._threads = CapacityLimiter(limits.threads)

    async def fetch(self, hit: Hit) -> Page | Document | Skipped:
        """Return a page from the memory while its site lets it be used unasked; else ask the site, if it answers."""
        start = time.monotonic()
        kept = await anyio.to_thread.run_sync(self._kept, hit, limiter=self._threads, abandon_on_cancel=True)
        age = self._clock() - kept.read_at if kept else 0.0
        if kept and age < (kept.document.fresh_seconds or 0.0):
            return _given(kept, hit, start)
        outcome = await self._fetcher.fetch(hit)
        down = isinstance(outcome, Skipped) and outcome.reason in SITE_DOWN
        if kept and kept.document.fresh_seconds and down and age < self._limits.keep_seconds:
            return _given(kept, hit, start)
        return outcome

    def _kept(self, hit: Hit) -> ReadPage | None:
        return self._memory.page(urls.canonical(hit.url) or hit.url)


def _given(kept: ReadPage, hit: Hit, start: float) -> Document:
    ms = round((time.monotonic() - start) * 1000)
    return replace(kept.document, date=hit.date or kept.document.date, ms=ms, cached=True)


class RememberedEmbedder:
    """An embedder that looks into the memory before it computes. Safe to use from many threads."""

    def __init__(self, embedder: Embedder, memory: TolerantMemory, limits: MemoryLimits) -> None:
        self._embedder, self._memory = embedder, memory
        self._queries: LRUCache[str, Vectors] = LRUCache(limits.queries_known)
        self._lock = threading.Lock()
        self._asked_at = time.monotonic()

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._embedder.dimensions

    @property
    def unrelated_below(self) -> float | None:
        """The cosine under which a passage has nothing to do with a query; None where that is not known."""
        return self._embedder.unrelated_below

    @property
    def idle_seconds(self) -> float:
        """How long nobody has asked for a vector."""
        return time.monotonic() - self._asked_at

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts as the embedder does, those whose vectors are not known. Blocks. Raises EmbedderUnavailable."""
        self._asked_at = time.monotonic()
        known = self._known(texts, kind)
        new = tuple(dict.fromkeys(text for text in texts if text not in known))
        if len(new) == len(texts):
            known = {}
        if new:
            known |= zip(new, self._embedder.embed(new, kind), strict=True)
        if kind == "query":
            with self._lock:
                self._queries.update(known)
        return np.stack([known[text] for text in texts]) if texts else self._embedder.embed(texts, kind)

    def _known(self, texts: Sequence[str], kind: TextKind) -> dict[str, Vectors]:
        if kind == "passage":
            return self._memory.vectors(texts)
        with self._lock:
            return {text: self._queries[text] for text in texts if text in self._queries}


class Keeper:
    """Keeps pages in the background. Use as an async context manager.

    `embedder` computes vectors, and looks none up; `idle_seconds` tells how long nobody has asked for one. `may_keep`
    says whether the page of an address may be kept at all; `clock` is in Unix seconds.
    """

    def __init__(
        self,
        memory: TolerantMemory,
        embedder: Embedder,
        idle_seconds: Callable[[], float],
        limits: MemoryLimits,
        may_keep: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory, self.embedder, self._idle_seconds = memory, embedder, idle_seconds
        self._limits, self._may_keep, self._clock = limits, may_keep, clock
        self._one_thread = CapacityLimiter(1)
        self._send, self._waiting = anyio.create_memory_object_stream[_Noted](limits.waiting)
        self._ended = anyio.Event()
        self._lost = False

    @property
    def trouble(self) -> str | None:
        """What went wrong the last time the memory was used."""
        return self._memory.trouble

    @property
    def waiting(self) -> int:
        """How many pages wait to be kept."""
        return self._waiting.statistics().current_buffer_used

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send.close()
        with anyio.move_on_after(self._limits.close_seconds, shield=True) as late:
            await self._ended.wait()
        self._tasks.cancel_scope.cancel()
        # The group is not told of the error: it would wrap it in a group.
        await self._tasks.__aexit__(None, None, None)
        if late.cancelled_caught:
            log.warning("the server stopped before all that was read last was kept in the memory")

    def note(self, documents: Iterable[Document], vectors: Mapping[str, Vectors]) -> None:
        """Have those pages kept that may be, with what vectors of their passages are known. Does not wait."""
        for document in documents:
            if document.fresh_seconds is None or not self._may_keep(document.url):
                continue
            try:
                # Under the address by which a search will lead to it.
                named = replace(document, url=urls.canonical(document.url) or document.url)
                self._send.send_nowait(_Noted(named, self._clock(), vectors))
                self._lost = False
            except anyio.WouldBlock:
                if not self._lost:
                    log.warning("more is read than the memory can keep: some pages are not kept")
                self._lost = True

    async def _run(self) -> None:
        """Keep what was noted; compute the vectors that lack while nobody asks."""
        async with self._waiting:
            await self._work(self._memory.tend)
            while (noted := await self._next()) is not None:
                await self._work(self._keep, noted)
                if not self.waiting:
                    await self._work(self._memory.tend)
        self._ended.set()

    async def _next(self) -> "_Noted | None":
        """Wait for a page that is to be kept; None when there will be no more."""
        more = True
        while True:
            seconds = max(self._limits.idle_seconds - self._idle_seconds(), IDLE_STEP_SECONDS) if more else math.inf
            with anyio.move_on_after(seconds):
                try:
                    return await self._waiting.receive()
                except anyio.EndOfStream:
                    return None
            if self._idle_seconds() >= self._limits.idle_seconds:
                more = await self._work(self.complete)

    async def _work(self, work: Callable[..., T], *arguments: object) -> T:
        return await anyio.to_thread.run_sync(partial(work, *arguments), limiter=self._one_thread)

    def _keep(self, noted: "_Noted") -> None:
        """Keep one page, with the vectors that are known of its passages. Blocks."""
        document, read_at = noted.document, noted.at
        if document.cached:
            # It was fetched earlier than now, and what is known of when is kept with it.
            kept = self._memory.page(document.url)
            if kept is None or kept.document.text != document.text or kept.whole:
                return
            document, read_at = kept.document, kept.read_at
        passages = _by_text(document)
        known = self._memory.vectors(list(passages))
        known |= {text: noted.vectors[text] for text in passages if text in noted.vectors}
        self._memory.keep([self._page(document, read_at, passages, known)])

    def lacks(self) -> bool:
        """Tell whether there is a page that lacks vectors. Blocks."""
        return bool(self._memory.unfinished(1))

    def complete(self) -> bool:
        """Compute a few vectors that lack; tells whether there may be more to do. Blocks."""
        pages = self._memory.unfinished(self._limits.pages_at_once)
        passages = [_by_text(page.document) for page in pages]
        known = self._memory.vectors([text for each in passages for text in each])
        wanted = (text for each in passages for text in list(each)[: self._limits.passages_a_page])
        lacking = list(dict.fromkeys(text for text in wanted if text not in known))
        try:
            for start in range(0, len(lacking), self._limits.idle_texts):
                some = tuple(lacking[start : start + self._limits.idle_texts])
                known |= zip(some, self.embedder.embed(some, "passage"), strict=True)
                if self._idle_seconds() < self._limits.idle_seconds:
                    break
        except EmbedderUnavailable:
            return False
        self._memory.keep(
            [
                self._page(page.document, page.read_at, each, known)
                for page, each in zip(pages, passages, strict=True)
                if not lacking or any(text in known for text in each)
            ]
        )
        return bool(pages)

    def _page(
        self, document: Document, read_at: float, passages: Mapping[str, Passage], known: Mapping[str, Vectors]
    ) -> ReadPage:
        wanted = list(passages)[: self._limits.passages_a_page]
        with_vectors = tuple((passage, known[text]) for text, passage in passages.items() if text in known)
        return ReadPage(document, read_at, with_vectors, whole=all(text in known for text in wanted))


def _by_text(document: Document) -> dict[str, Passage]:
    return {headed(passage): passage for passage in chunk(document, ChunkLimits())}


@dataclass(frozen=True, slots=True)
class _Noted:
    document: Document
    at: float
    vectors: Mapping[str, Vectors]
