"""What our SQLite files have in common: how one is opened, asked about itself, and changed as a whole. Blocks.

Raises sqlite3.Error. Knows no table.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Readers wait for no writer; what was written last may be lost with the machine's power, never the file.
JOURNAL = ("journal_mode=WAL", "synchronous=NORMAL", "journal_size_limit=16000000")


def connection(path: Path, wait_seconds: float) -> sqlite3.Connection:
    """Open a file for any thread, one at a time; each statement is a transaction of its own."""
    return sqlite3.connect(path, timeout=wait_seconds, isolation_level=None, check_same_thread=False)


def keep_journal(file: sqlite3.Connection) -> None:
    """Have changes written ahead into a log."""
    for setting in JOURNAL:
        file.execute(f"PRAGMA {setting}")


def pragma(file: sqlite3.Connection, name: str) -> int:
    """Return what a file says of itself."""
    return int(file.execute(f"PRAGMA {name}").fetchone()[0])


def used_bytes(file: sqlite3.Connection) -> int:
    """Return how much of a file is in use: what was deleted leaves room in it."""
    return (pragma(file, "page_count") - pragma(file, "freelist_count")) * pragma(file, "page_size")


@contextmanager
def transaction(file: sqlite3.Connection) -> Iterator[None]:
    """Make changes together, or none of them."""
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        file.execute("ROLLBACK")
        raise
    file.execute("COMMIT")
