"""Engines, pages and embedders that remember: each the same Protocol as what it wraps.

What is remembered is success only: an engine's results, a page that was cleaned, a text's vector. Keys hold all that an
entry depends on, `scope` included: whose it is and the settings under which it was had. Values are JSON, bytes and
float32, never pickles: whoever can write to a shared store must not be able to run code here. A value that is not
sound is a miss.
"""

import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol, TypeVar

import anyio.to_thread
import numpy as np
from anyio import CapacityLimiter
from pydantic import TypeAdapter

from retrieval import freshness, urls
from retrieval.cache import Cache, key
from retrieval.extract import readable
from retrieval.limits import CacheLimits, ExtractLimits
from retrieval.rank import Embedder, TextKind, Vectors
from retrieval.read import PageExtractor
from retrieval.search import SearchEngine
from retrieval.types import Document, Hit, Page, PartialPage, Query, Skipped

T = TypeVar("T")

# Another number where the form of the entries changes.
FORM = "1"
COMPRESSION_LEVEL = 1
HEAD_LENGTH_BYTES = 4
# Stands for the title of a hit while a page is cleaned: the next question may find the page under another.
NO_TITLE = "wellread: the title of the hit"


class CachedEngine:
    """An engine whose result pages are remembered. `scope` holds what the results depend on besides the query."""

    def __init__(self, engine: SearchEngine, cache: Cache, limits: CacheLimits, scope: tuple[str, ...]) -> None:
        self._engine, self._cache, self._limits, self._scope = engine, cache, limits, scope
        self._threads = CapacityLimiter(limits.threads)

    @property
    def name(self) -> str:
        """The engine's own name."""
        return self._engine.name

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page, remembered or asked for. Raises EngineError."""
        name = key("search", FORM, *self._scope, self.name, json.dumps(astuple(query)), str(page))
        hits = await _in_thread(self._threads, self._recall, name)
        if hits is None:
            hits = await self._engine.search(query, page)
            # What lacks something may be whole the next time, and no result at all may be an engine's bad hour; a
            # later page without any is where the results end.
            if (hits or page > 1) and not isinstance(hits, PartialPage):
                await _in_thread(self._threads, self._keep, name, hits, self._seconds(query))
        return hits

    def _recall(self, name: bytes) -> tuple[Hit, ...] | None:
        return _sound(self._cache, name, lambda value: HITS.validate_json(_inflated(value, self._limits)))

    def _keep(self, name: bytes, hits: tuple[Hit, ...], seconds: float) -> None:
        self._cache.put_many({name: _deflated(_json(HITS, hits))}, seconds)

    def _seconds(self, query: Query) -> float:
        recent = query.filters.recency in {"hour", "day"}
        return self._limits.recent_search_seconds if recent else self._limits.search_seconds


class ConditionalFetcher(Protocol):
    """Fetches a page, unless its site says that the one in hand has not changed; see `retrieval.fetch.Fetcher`."""

    async def fetch(self, hit: Hit, stale: Page | None = None) -> Page | Skipped:
        """Fetch one page; `stale` comes back, with the new headers, when it has not changed."""
        ...


@dataclass(frozen=True, slots=True)
class KeptPage:
    """What is kept of a page besides its body. `fresh_until` is in Unix seconds."""

    url: str
    content_type: str
    charset: str | None
    headers: freshness.Headers
    fresh_until: float


class CachedPages:
    """A fetcher and an extractor that remember pages by address and cleaned texts by the hash of their bytes.

    A page is kept once it was cleaned: shells, walls and errors are asked for again. `cleaner` names the code that
    cleans; `clock` is in Unix seconds.
    """

    def __init__(
        self,
        fetcher: ConditionalFetcher,
        extractor: PageExtractor,
        cache: Cache,
        limits: CacheLimits,
        scope: tuple[str, ...],
        cleaner: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher, self._extractor, self._cache = fetcher, extractor, cache
        self._limits, self._scope, self._cleaner, self._clock = limits, scope, cleaner, clock
        self._threads = CapacityLimiter(limits.threads)

    async def fetch(self, hit: Hit) -> Page | Skipped:
        """Return a page that is fresh, or ask its site."""
        start = time.monotonic()
        page, fresh = await _in_thread(self._threads, self._page, hit) or (None, False)
        if page and fresh:
            return replace(page, ms=_ms_since(start))
        outcome = await self._fetcher.fetch(hit, page)
        if isinstance(outcome, Page) and outcome.cached:
            await _in_thread(self._threads, self._keep_page, outcome)
        return outcome

    async def extract(self, page: Page) -> Document | Skipped:
        """Return the text of a page, remembered or cleaned now."""
        if urls.local_file(page.url) or not freshness.terms(page.headers, self._limits).text:
            return await self._extractor.extract(page)
        start = time.monotonic()
        name, document = await _in_thread(self._threads, self._text, page)
        if document is None:
            outcome = await self._extractor.extract(replace(page, hit=Hit(page.hit.url, NO_TITLE)))
            if isinstance(outcome, Skipped):
                return outcome
            document = outcome
            await _in_thread(self._threads, self._keep, name, page, document)
        unasked = freshness.unasked_seconds(page.headers, self._limits)
        return _under(page, replace(document, ms=page.ms + _ms_since(start), fresh_seconds=unasked))

    def _page(self, hit: Hit) -> tuple[Page, bool] | None:
        """Return what is kept of a page, and whether it is fresh."""

        def read(value: bytes) -> tuple[Page, bool]:
            head, body = _parted(_inflated(value, self._limits))
            kept = KEPT_PAGE.validate_json(head)
            page = Page(hit, kept.url, kept.content_type, kept.charset, body, 0, kept.headers, cached=True)
            return page, kept.fresh_until > self._clock()

        return _sound(self._cache, self._page_key(hit), read)

    def _text(self, page: Page) -> tuple[bytes, Document | None]:
        """Return the key of a page's text, and the text if it is known."""
        made_from = (page.url, page.content_type, page.charset or "", page.body)
        name = key("text", FORM, *self._scope, self._cleaner, *made_from)
        return name, _sound(self._cache, name, lambda value: DOCUMENT.validate_json(_inflated(value, self._limits)))

    def _keep(self, name: bytes, page: Page, document: Document) -> None:
        self._cache.put_many({name: _deflated(_json(DOCUMENT, document))}, self._limits.text_seconds)
        if not page.cached:
            self._keep_page(page)

    def _keep_page(self, page: Page) -> None:
        terms = freshness.terms(page.headers, self._limits)
        if terms.fresh_seconds is None or terms.keep_seconds <= 0:
            return
        until = self._clock() + terms.fresh_seconds
        head = _json(KEPT_PAGE, KeptPage(page.url, page.content_type, page.charset, page.headers, until))
        value = _deflated(len(head).to_bytes(HEAD_LENGTH_BYTES, "big") + head + page.body)
        if len(value) <= self._limits.entry_bytes:
            self._cache.put_many({self._page_key(page.hit): value}, terms.keep_seconds)

    def _page_key(self, hit: Hit) -> bytes:
        return key("page", FORM, *self._scope, urls.canonical(hit.url) or hit.url)


class CachedEmbedder:
    """An embedder whose vectors are remembered by the hash of their texts. `model` names all that makes them."""

    def __init__(self, embedder: Embedder, cache: Cache, limits: CacheLimits, model: str) -> None:
        self._embedder, self._cache, self._limits, self._model = embedder, cache, limits, model

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._embedder.dimensions

    @property
    def unrelated_below(self) -> float | None:
        """The cosine under which a passage has nothing to do with a query; None where that is not known."""
        return self._embedder.unrelated_below

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts as the embedder does, those it has not embedded before. Blocks. Raises EmbedderUnavailable."""
        names = {text: key("vector", FORM, self._model, kind, text) for text in texts}
        row_bytes = 4 * self.dimensions
        kept = {name: row for name, row in self._cache.get_many(names.values()).items() if len(row) == row_bytes}
        new = tuple(text for text, name in names.items() if name not in kept)
        if new:
            made = self._embedder.embed(new, kind).astype("<f4", copy=False)
            rows = {names[text]: row.tobytes() for text, row in zip(new, made, strict=True)}
            self._cache.put_many(rows, self._limits.vector_seconds)
            kept |= rows
        joined = b"".join(kept[names[text]] for text in texts)
        return np.frombuffer(joined, "<f4").astype(np.float32).reshape(len(texts), self.dimensions)


HITS = TypeAdapter(tuple[Hit, ...])
DOCUMENT = TypeAdapter(Document)
KEPT_PAGE = TypeAdapter(KeptPage)


def _under(page: Page, document: Document) -> Document:
    """Return a document as the cleaner makes it for this hit: its title where the page has none, its date first."""
    title = document.title
    if title == NO_TITLE:
        title = " ".join(readable(page.hit.title).split())[: ExtractLimits().title_chars] or urls.site(page.url)
    date = page.hit.date or document.date
    return replace(document, title=title, date=date, bytes=len(page.body), cached=page.cached)


async def _in_thread(threads: CapacityLimiter, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401  (as run_sync)
    # A store that is slow holds up nobody whose time is over.
    return await anyio.to_thread.run_sync(work, *arguments, limiter=threads, abandon_on_cancel=True)


def _sound(cache: Cache, name: bytes, read: Callable[[bytes], T]) -> T | None:
    """Return an entry as `read` reads it; None when there is none, or none that can be read."""
    entries: Mapping[bytes, bytes] = cache.get_many([name])
    if name not in entries:
        return None
    try:
        return read(entries[name])
    except (ValueError, zlib.error):
        return None


def _json(adapter: TypeAdapter[T], value: T) -> bytes:
    # Half characters, which an engine may send, become question marks.
    return json.dumps(adapter.dump_python(value, mode="json"), ensure_ascii=False).encode("utf-8", "replace")


def _deflated(data: bytes) -> bytes:
    return zlib.compress(data, COMPRESSION_LEVEL)


def _inflated(data: bytes, limits: CacheLimits) -> bytes:
    """Unpack, up to a limit: a shared store may hold a bomb. Raises ValueError or zlib.error."""
    stream = zlib.decompressobj()
    found = stream.decompress(data, limits.unpacked_bytes)
    if not stream.eof:
        raise ValueError("cut off, or too large once unpacked")
    return found


def _parted(data: bytes) -> tuple[bytes, bytes]:
    end = HEAD_LENGTH_BYTES + int.from_bytes(data[:HEAD_LENGTH_BYTES], "big")
    return data[HEAD_LENGTH_BYTES:end], data[end:]


def _ms_since(start: float) -> int:
    return round((time.monotonic() - start) * 1000)
