"""Searches a folder of the user's own files. They are read in the background, and again when they change."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from retrieval.engines.local_index import FileIndex, IndexedFile, indexed
from retrieval.errors import EngineError
from retrieval.extract import Extractor
from retrieval.limits import ExtractLimits
from retrieval.local_files import LocalFile, LocalFolder
from retrieval.types import Hit, Query, Recency, Skipped

log = logging.getLogger(__name__)

RESULTS_PER_PAGE = 15
RECENT: dict[Recency, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
    "year": timedelta(days=366),
}


class LocalEngine:
    """Searches the files of a folder. Use as an async context manager; the first search begins to read the files."""

    name = "local"

    def __init__(self, folder: LocalFolder) -> None:
        self._folder, self._limits = folder, folder.limits
        self._known: dict[LocalFile, IndexedFile | None] = {}
        self._files: list[LocalFile] = []
        self._index: FileIndex | None = None
        self._failure: str | None = None
        self._looked_over = float("-inf")
        self._refreshed: anyio.Event | None = None
        self._unread = 0

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        # The group is not told of the error: it would wrap it in a group.
        await self._tasks.__aexit__(None, None, None)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page, best first. Raises EngineError while the files are read for the first time."""
        if query.filters.domains:
            return ()  # a file lies on no domain
        index = await self._fresh_index()
        hits = await anyio.to_thread.run_sync(index.hits, query)
        recent = [hit for hit in hits if _recent(hit, query.filters.recency)]
        return tuple(recent[(page - 1) * RESULTS_PER_PAGE : page * RESULTS_PER_PAGE])

    async def _fresh_index(self) -> FileIndex:
        if self._refreshed is None and time.monotonic() - self._looked_over > self._limits.rescan_seconds:
            self._refreshed = anyio.Event()
            self._tasks.start_soon(self._refresh, self._refreshed)
        if self._refreshed is not None:
            with anyio.move_on_after(self._limits.wait_seconds):
                await self._refreshed.wait()
        if self._failure is not None:
            raise EngineError(self._failure)
        if self._index is None:
            raise EngineError(f"is still reading the files: {self._unread} more; ask again later")
        return self._index

    async def _refresh(self, refreshed: anyio.Event) -> None:
        """Bring the index up to date with the folder."""
        try:
            files = await anyio.to_thread.run_sync(self._listed)
            if self._index is None or files != self._files:
                self._known = {file: self._known[file] for file in files if file in self._known}
                await self._read([file for file in files if file not in self._known])
                entries = [entry for file in files if (entry := self._known.get(file))]
                self._index = await anyio.to_thread.run_sync(FileIndex, entries)
                self._files = files
            self._failure = None
        except OSError as error:
            log.warning("the local folder cannot be read: %r", error)
            self._failure = f"the folder cannot be read ({type(error).__name__})"
        finally:
            self._looked_over = time.monotonic()
            self._refreshed = None
            refreshed.set()

    def _listed(self) -> list[LocalFile]:
        """List the files up to the limit, in the order of their paths. Blocks."""
        files = list(islice(self._folder.files(), self._limits.files + 1))
        if len(files) > self._limits.files:
            log.warning("the local folder holds more than %d files; the others are not searched", self._limits.files)
        return files[: self._limits.files]

    async def _read(self, files: list[LocalFile]) -> None:
        """Read files until the texts are too long together."""
        if not files:
            return
        self._unread = len(files)
        chars = sum(len(entry.text) for entry in self._known.values() if entry)
        async with Extractor(replace(ExtractLimits(), workers=1)) as extractor:
            for file in files:
                if chars > self._limits.total_chars:
                    log.warning("the local files are too long together: %d of them are not searched", self._unread)
                    return
                entry = self._known[file] = await self._entry(file, extractor)
                chars += len(entry.text) if entry else 0
                self._unread -= 1

    async def _entry(self, file: LocalFile, extractor: Extractor) -> IndexedFile | None:
        path = str(file.path.relative_to(self._folder.root))
        page = await self._folder.fetch(Hit(file.url, file.path.stem))
        found = page if isinstance(page, Skipped) else await extractor.extract(page)
        if isinstance(found, Skipped):
            log.warning("the local file %s is not searched: %s (%s)", path, found.reason, found.detail)
            return None
        return await anyio.to_thread.run_sync(indexed, file, path, found.title, found.text, found.language or "en")


def _recent(hit: Hit, recency: Recency | None) -> bool:
    """Tell whether a file has changed lately, by day."""
    return recency is None or (hit.date or "") >= (datetime.now(UTC) - RECENT[recency]).date().isoformat()
