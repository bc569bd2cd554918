"""Copies the file of a SQLite cache, and tells what is in it, while servers go on using it.

SQLite's own online backup reads one snapshot: in a write-ahead log readers hold up no writer. A copy is checked before
it has its name. Blocks.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrieval.caches.sqlite import APPLICATION_ID, SCHEMA_VERSION
from retrieval.errors import CacheUnavailable

WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CacheFile:
    """What is in a cache's file. `bytes` with its write-ahead log; `ended` of the entries serve no more.

    `written` is when it was last written, in Unix seconds. `version` is its schema's; `current` whether this release
    reads it: another one is begun anew.
    """

    path: Path
    bytes: int
    entries: int
    ended: int
    written: float
    version: int

    @property
    def current(self) -> bool:
        """Whether this release goes on with the file."""
        return self.version == SCHEMA_VERSION


def described(path: Path, clock: Callable[[], float] = time.time) -> CacheFile:
    """Tell what is in a cache's file. Raises CacheUnavailable, also where it is not one of ours."""
    with _opened(path) as cache:
        version = int(cache.execute("PRAGMA user_version").fetchone()[0])
        entries, ended = 0, 0
        if version == SCHEMA_VERSION:
            counted = "SELECT count(*), coalesce(sum(expires <= ?), 0) FROM entries"
            entries, ended = cache.execute(counted, (clock(),)).fetchone()
        stats = [file.stat() for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    written = max(each.st_mtime for each in stats)
    return CacheFile(path, sum(each.st_size for each in stats), entries, ended, written, version)


def back_up(path: Path, target: Path) -> CacheFile:
    """Copy a cache's file as it is at one moment; gives what is in the copy.

    Raises CacheUnavailable where `target` is there already, or the copy does not pass SQLite's check: none is left.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _translated(target):
        if target.exists():
            raise CacheUnavailable(f"{target} is there already: name a file that is not")
        with _opened(path) as cache:
            part.touch(mode=0o600)
            try:
                _copied(cache, part)
                part.rename(target)
            finally:
                part.unlink(missing_ok=True)
    return described(target)


def _copied(cache: sqlite3.Connection, part: Path) -> None:
    with closing(sqlite3.connect(part)) as copy:
        cache.backup(copy)
        # A copy is one file, to be moved about: without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        told = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if told != "ok":
        raise CacheUnavailable(f"the copy is damaged ({told}); so may be the cache: remove it, and it begins anew")
    with part.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a cache's file without making one. Raises CacheUnavailable."""
    with _translated(path):
        if not path.exists():
            raise CacheUnavailable(f"{path} is not there: nothing was cached yet")
        # Not read-only: a file whose log was left by a server that was killed could not be read.
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)) as cache:
            if cache.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise CacheUnavailable(f"{path} is a database of another program")
            yield cache


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise CacheUnavailable(f"{path}: {error}") from error
