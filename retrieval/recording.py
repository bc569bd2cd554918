"""Keeps what the web said during one run in a zip file, and says it again without network.

Wraps the two edges to the web, `SearchEngine` and `PageFetcher`, so nothing else knows of it. The zip holds
`index.json`, the bodies of pages under `pages/`, and what the caller adds. A replay gives searches in the order in
which they were asked and answered, because the search stage decides by what it has; pages are given at once, because
the reading orders them by rank. What a page was worth may hang on the clock (it came late, its text came second, its
parser was stopped): such pages are replayed as skipped, see `Recorder.settle`.
"""

import json
import zipfile
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import anyio
import anyio.lowlevel
import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from retrieval import urls
from retrieval.errors import EngineError, RecordingError
from retrieval.limits import RecordingLimits
from retrieval.read import PageFetcher
from retrieval.search import SearchEngine
from retrieval.types import Document, Hit, Page, Query, Skipped, SkipReason

INDEX = "index.json"
NO_ANSWER = "no answer in time"
BY_THE_CLOCK = frozenset({SkipReason.LATE, SkipReason.DUPLICATE, SkipReason.PARSER_LIMIT})


@dataclass(frozen=True, slots=True)
class RecordedSearch:
    """One result page of one engine, or its error. `asked` and `replied` are places in the order of all searches."""

    engine: str
    query: Query
    page: int
    asked: int
    replied: int
    hits: tuple[Hit, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedPage:
    """A page that came: asked for at `asked`, finally found at `url`; `body` is the name of its file in the zip."""

    asked: str
    url: str
    content_type: str
    charset: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Index:
    """What a recording holds. `engines` are in order of preference."""

    format: Literal[1]
    engines: tuple[str, ...]
    searches: tuple[RecordedSearch, ...]
    pages: tuple[RecordedPage, ...]
    skipped: tuple[Skipped, ...]


class Recorder:
    """Writes a recording, also of a run that failed. Use as an async context manager. Raises RecordingError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engines: list[str] = []
        self._searches: list[RecordedSearch] = []
        self._pages: dict[str, RecordedPage | Skipped] = {}
        self._ticks, self._bodies = count(), count(1)
        self._one_writer = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        try:
            self._zip = await anyio.to_thread.run_sync(partial(zipfile.ZipFile, self._path, "w"))
        except OSError as error:
            raise RecordingError(f"{self._path} cannot be written: {error.strerror}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            index = TypeAdapter(Index).dump_python(self._index(), mode="json")
            # Half characters, which an engine may send, become question marks.
            await self.add(INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
            await anyio.to_thread.run_sync(self._zip.close)

    def _index(self) -> Index:
        pages = tuple(row for row in self._pages.values() if isinstance(row, RecordedPage))
        skipped = tuple(row for row in self._pages.values() if isinstance(row, Skipped))
        return Index(1, tuple(self._engines), tuple(self._searches), pages, skipped)

    async def add(self, name: str, data: bytes) -> None:
        """Add a file."""
        # Without the time of day, so that equal runs give equal files.
        info = zipfile.ZipInfo(name)
        write = partial(self._zip.writestr, info, data, zipfile.ZIP_DEFLATED)
        await anyio.to_thread.run_sync(write, limiter=self._one_writer)

    def engine(self, engine: SearchEngine) -> SearchEngine:
        """Wrap an engine; call it in order of preference."""
        self._engines.append(engine.name)
        return _RecordingEngine(engine, self)

    def fetcher(self, fetcher: PageFetcher) -> PageFetcher:
        """Wrap the fetcher."""
        return _RecordingFetcher(fetcher, self)

    def settle(self, skipped: Mapping[str, SkipReason]) -> None:
        """Take notice, by address, of why pages were not read in the end."""
        for url, reason in skipped.items():
            if reason in BY_THE_CLOCK:
                self._pages[url] = Skipped(url, reason, "so it was in the recorded run")

    def tick(self) -> int:
        """Return the next place in the order of searches."""
        return next(self._ticks)

    def note_search(self, search: RecordedSearch) -> None:
        """Keep one result page."""
        self._searches.append(search)

    async def note_page(self, outcome: Page | Skipped) -> None:
        """Keep the outcome of one fetch."""
        if isinstance(outcome, Skipped):
            self._pages[outcome.url] = outcome
            return
        name = f"pages/{next(self._bodies):04}"
        await self.add(name, outcome.body)
        asked = outcome.hit.url
        self._pages[asked] = RecordedPage(asked, outcome.url, outcome.content_type, outcome.charset, name)


class _RecordingEngine:
    """An engine whose replies and errors are kept."""

    def __init__(self, engine: SearchEngine, recorder: Recorder) -> None:
        self._engine, self._recorder = engine, recorder

    @property
    def name(self) -> str:
        """The engine's own name."""
        return self._engine.name

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Ask the engine. Raises EngineError."""
        asked = self._recorder.tick()
        hits: tuple[Hit, ...] = ()
        failed: str | None = NO_ANSWER
        try:
            hits = await self._engine.search(query, page)
            failed = None
        except EngineError as error:
            failed = str(error)
            raise
        finally:
            # What is cancelled is kept too: the search stage had to do without it.
            replied = self._recorder.tick()
            self._recorder.note_search(RecordedSearch(self.name, query, page, asked, replied, hits, failed))
        return hits


class _RecordingFetcher:
    """A fetcher whose pages are kept."""

    def __init__(self, fetcher: PageFetcher, recorder: Recorder) -> None:
        self._fetcher, self._recorder = fetcher, recorder

    async def fetch(self, hit: Hit) -> Page | Skipped:
        """Fetch one page."""
        outcome = await self._fetcher.fetch(hit)
        assert not isinstance(outcome, Document), "a recording keeps pages as they came"
        await self._recorder.note_page(outcome)
        return outcome


class Replay:
    """Says again what a recording holds; it is the fetcher, and `engines` are the engines.

    Use as an async context manager. Raises RecordingError for a file that is none.
    """

    def __init__(self, path: Path, limits: RecordingLimits) -> None:
        self._path, self._limits = path, limits
        self._searches: defaultdict[tuple[str, Query, int], deque[RecordedSearch]] = defaultdict(deque)
        self._queries: set[tuple[str, Query]] = set()
        self._found: set[str | None] = set()

    async def __aenter__(self) -> Self:
        try:
            self._zip = await anyio.to_thread.run_sync(zipfile.ZipFile, self._path)
            index = TypeAdapter(Index).validate_json(await self.member(INDEX))
        except OSError as error:
            raise RecordingError(f"{self._path} cannot be read: {error.strerror}") from error
        except (zipfile.BadZipFile, ValidationError) as error:
            raise RecordingError(f"{self._path} is not a recording of this version") from error
        self._take(index)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def _take(self, index: Index) -> None:
        for search in sorted(index.searches, key=lambda search: search.asked):
            self._searches[search.engine, search.query, search.page].append(search)
            self._queries.add((search.engine, search.query))
            self._found |= {urls.canonical(hit.url) for hit in search.hits}
        self._pages: dict[str, RecordedPage | Skipped] = {page.asked: page for page in index.pages}
        self._pages |= {page.url: page for page in index.skipped}
        self._order = _Order(index.searches, self._limits.stall_seconds)
        self.engines: Sequence[SearchEngine] = [_ReplayedEngine(name, self) for name in index.engines]

    async def member(self, name: str) -> bytes:
        """Return a file of the recording. Raises RecordingError when it lacks it or it is too large."""
        return await anyio.to_thread.run_sync(self._read, name)

    def _read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as file:
                data = file.read(self._limits.file_bytes + 1)
        except (KeyError, zipfile.BadZipFile) as error:
            raise RecordingError(f"{self._path} has no sound {name}") from error
        if len(data) > self._limits.file_bytes:
            raise RecordingError(f"{self._path}: {name} is larger than {self._limits.file_bytes} bytes")
        return data

    async def search(self, engine: str, query: Query, page: int) -> tuple[Hit, ...]:
        """Return a result page when its turn has come; () after those that the recorded run asked for.

        Raises EngineError as recorded, or for a query that is not in the recording.
        """
        recorded = self._searches[engine, query, page]
        if not recorded and (engine, query) in self._queries:
            return ()
        if not recorded:
            raise EngineError(f"not in the recording: the query {query.text!r} to {engine}")
        search = recorded.popleft()
        await self._order.reach(search)
        if search.error is not None:
            raise EngineError(search.error)
        return search.hits

    async def fetch(self, hit: Hit) -> Page | Skipped:
        """Return a page as it came. Raises RecordingError for one that the recorded run had not even found."""
        page = self._pages.get(hit.url)
        if isinstance(page, RecordedPage):
            body = await self.member(page.body)
            return Page(hit, page.url, page.content_type, page.charset, body, 0)
        await anyio.lowlevel.checkpoint()
        if page is not None:
            return page
        if hit.url in self._found:
            return Skipped(hit.url, SkipReason.LATE, "the recorded run did not ask for it")
        raise RecordingError(f"not in the recording: the page {hit.url}")


class _ReplayedEngine:
    """One engine of a recording."""

    def __init__(self, name: str, replay: Replay) -> None:
        self.name, self._replay = name, replay

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return a result page as it came. Raises EngineError."""
        return await self._replay.search(self.name, query, page)


class _Order:
    """Holds each reply back until all that was asked and answered before it is asked and answered again."""

    def __init__(self, searches: Sequence[RecordedSearch], stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._ahead = deque(sorted(tick for search in searches for tick in (search.asked, search.replied)))
        self._turns = {search.replied: anyio.Event() for search in searches}
        self._past: set[int] = set()

    async def reach(self, search: RecordedSearch) -> None:
        """Wait for the turn of a reply. Raises EngineError when something before it is never asked for."""
        self._pass(search.asked)
        with anyio.move_on_after(self._stall_seconds) as stalled:
            await self._turns[search.replied].wait()
        self._pass(search.replied)
        if stalled.cancelled_caught:
            raise EngineError("this run asks for other searches than the recorded one")

    def _pass(self, tick: int) -> None:
        self._past.add(tick)
        while self._ahead and self._ahead[0] in self._past:
            self._ahead.popleft()
        if self._ahead and self._ahead[0] in self._turns:
            self._turns[self._ahead[0]].set()
