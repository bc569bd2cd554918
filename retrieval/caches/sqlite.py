"""A cache in one SQLite file, for one machine; several processes may share it.

The file is marked as ours: one that is not is never written to, and stops the start instead. When the entries fill the
file's size limit, the oldest go.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from retrieval.errors import CacheUnavailable
from retrieval.limits import CacheLimits
from retrieval.sqlite_file import connection, keep_journal, pragma, transaction, used_bytes

# "WRcc": what PRAGMA application_id says of our files.
APPLICATION_ID = 0x57526363
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE entries (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, expires REAL NOT NULL, value BLOB NOT NULL);
CREATE INDEX entries_expires ON entries (expires);
"""
KEYS_AT_ONCE = 500
ENDED_AT_ONCE, OLDEST_AT_ONCE = 200, 20
# When the file is full, so much of it is used afterwards: each eviction makes room for many entries, and is short.
USED_AFTER_EVICTION = 0.98


class SqliteCache:
    """Entries in a file at `path`, made with its folder where missing. `clock` is in Unix seconds. Blocks.

    Raises CacheUnavailable when the file cannot be opened, or is not one of ours.
    """

    def __init__(self, path: Path, limits: CacheLimits, clock: Callable[[], float] = time.time) -> None:
        self._path, self._limits, self._clock = path, limits, clock
        self._open = True
        # Reading waits for no writing, of this process or another: the journal is a write-ahead log.
        self._reading, self._writing = threading.Lock(), threading.Lock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._writer = connection(self._path, self._limits.wait_seconds)
            self._check()
            self._prepare()
            self._reader = connection(self._path, self._limits.wait_seconds)

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the entries that are there. Raises CacheUnavailable."""
        found: dict[bytes, bytes] = {}
        rest = iter(keys)
        with self._translated(), self._reading:
            while self._open and (some := list(islice(rest, KEYS_AT_ONCE))):
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM entries WHERE key IN ({marks}) AND expires > ?"  # noqa: S608  (marks)
                found.update(self._reader.execute(query, (*some, self._clock())).fetchall())
        return found

    def put_many(self, entries: Mapping[bytes, bytes], lifetime_seconds: float) -> None:
        """Keep entries for so long; the oldest make room for them. Raises CacheUnavailable."""
        now = self._clock()
        rows = [(name, now + lifetime_seconds, value) for name, value in entries.items()]
        with self._translated(), self._writing:
            if not self._open:
                return
            with transaction(self._writer):
                self._writer.executemany("INSERT OR REPLACE INTO entries (key, expires, value) VALUES (?, ?, ?)", rows)
                self._forget(now)

    def close(self) -> None:
        """Close the file."""
        with self._reading, self._writing:
            self._open = False
            self._reader.close()
            self._writer.close()

    def _check(self) -> None:
        """Refuse a file that something else has written."""
        tables = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and pragma(self._writer, "application_id") != APPLICATION_ID:
            raise CacheUnavailable(f"{self._path} is a database of another program")

    def _prepare(self) -> None:
        """Make the table; an older one is dropped, since a cache holds nothing that cannot be had again."""
        keep_journal(self._writer)
        with transaction(self._writer):
            if pragma(self._writer, "user_version") == SCHEMA_VERSION:
                return
            self._writer.execute("DROP TABLE IF EXISTS entries")
            for statement in SCHEMA.strip().split(";\n"):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _forget(self, now: float) -> None:
        """Delete some of what has ended, and the oldest while the file is too full."""
        ended = "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE expires <= ? LIMIT ?)"
        self._writer.execute(ended, (now, ENDED_AT_ONCE))
        if used_bytes(self._writer) <= self._limits.total_bytes:
            return
        oldest = "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT ?)"
        while used_bytes(self._writer) > self._limits.total_bytes * USED_AFTER_EVICTION:
            if not self._writer.execute(oldest, (OLDEST_AT_ONCE,)).rowcount:
                return

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CacheUnavailable(f"{self._path}: {error}") from error
