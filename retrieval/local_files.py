"""Reads the user's own files: only regular ones, of known kinds, inside one folder.

A `file:` address may come from anywhere, so each is checked as if an enemy had written it: the place it resolves to,
links followed, must lie in the folder. Hidden files do not exist here. Blocks only in threads.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio.to_thread

from retrieval.limits import LocalLimits
from retrieval.read import PageFetcher
from retrieval.types import Document, Hit, Page, Skipped, SkipReason

KINDS = {
    ".htm": "text/html",
    ".html": "text/html",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".text": "text/plain",
    ".txt": "text/plain",
    ".xhtml": "application/xhtml+xml",
}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as the folder lists it. A changed file is another value. `size` is in bytes."""

    path: Path
    changed_ns: int
    size: int

    @property
    def url(self) -> str:
        """The address of the file."""
        return self.path.as_uri()

    @property
    def date(self) -> str:
        """The day of its last change, ISO, in UTC."""
        return datetime.fromtimestamp(self.changed_ns / 1e9, UTC).date().isoformat()


class LocalFolder:
    """One folder of the user's own files. Raises NotADirectoryError when `root` is no folder."""

    def __init__(self, root: Path, limits: LocalLimits) -> None:
        self.root = root.expanduser().resolve()
        self.limits = limits
        if not self.root.is_dir():
            raise NotADirectoryError(f"{root} is no folder")

    def files(self) -> Iterator[LocalFile]:
        """List the readable files, folder by folder. Blocks. Raises OSError when the folder itself cannot be read."""
        os.scandir(self.root).close()
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if file := self._listed(Path(folder, name)):
                    yield file

    def _listed(self, path: Path) -> LocalFile | None:
        if self._allowed(path) is None:
            return None
        try:
            status = path.stat()
        except OSError:
            return None  # gone since the folder was listed
        return LocalFile(path, status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def _allowed(self, path: Path) -> Path | None:
        """Return where a path leads if that may be read."""
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None  # not there, not a path, or a loop of links
        if path.suffix.lower() not in KINDS or not real.is_relative_to(self.root):
            return None
        hidden = any(part.startswith(".") for part in real.relative_to(self.root).parts)
        return None if hidden or path.name.startswith(".") else real

    async def fetch(self, hit: Hit) -> Page | Skipped:
        """Read the file of a `file:` address."""
        return await anyio.to_thread.run_sync(self.read, hit, abandon_on_cancel=True)

    def read(self, hit: Hit) -> Page | Skipped:
        """Read the file of a `file:` address. Blocks."""
        start = time.monotonic()
        path = _path(hit.url)
        real = self._allowed(path) if path else None
        if path is None or real is None:
            return Skipped(hit.url, SkipReason.BLOCKED_ADDRESS, "no readable file of the local folder")
        try:
            body = _bytes(real, self.limits.file_bytes)
        except OSError as error:
            return Skipped(hit.url, SkipReason.FORBIDDEN, repr(error))
        if body is None:
            return Skipped(hit.url, SkipReason.WRONG_TYPE, "no regular file")
        if len(body) > self.limits.file_bytes:
            return Skipped(hit.url, SkipReason.TOO_LARGE, f"over {self.limits.file_bytes} bytes")
        ms = round((time.monotonic() - start) * 1000)
        return Page(hit, hit.url, KINDS[path.suffix.lower()], None, body, ms)


class RoutedFetcher:
    """Sends `file:` hits to the local folder and everything else to the web."""

    def __init__(self, web: PageFetcher, folder: LocalFolder) -> None:
        self._web, self._folder = web, folder

    async def fetch(self, hit: Hit) -> Page | Document | Skipped:
        """Read one page or file."""
        local = hit.url[:5].lower() == "file:"
        return await (self._folder if local else self._web).fetch(hit)


def _path(url: str) -> Path | None:
    """Return the path of a `file:` address of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
        return None
    path = unquote(parts.path, errors="surrogateescape")
    return Path(path) if path.startswith("/") and "\0" not in path else None


def _bytes(path: Path, limit: int) -> bytes | None:
    """Read a regular file up to a byte beyond the limit; anything else is None. Opening waits for no pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(handle)
