"""Keeps bytes under keys for a while: what a cache is, how its keys are made, and how its outages are borne.

Knows nothing of what is kept (`retrieval.cached`) or where (`retrieval.caches`).
"""

import hashlib
import sys
import time
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

from retrieval.errors import CacheUnavailable
from retrieval.limits import CacheLimits
from retrieval.outage import Outage


class Cache(Protocol):
    """A store of entries that end. Every method blocks: call it in a thread, from as many as you like."""

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the entries that are there. Raises CacheUnavailable."""
        ...

    def put_many(self, entries: Mapping[bytes, bytes], lifetime_seconds: float) -> None:
        """Keep entries for so long, in place of those with the same keys. Raises CacheUnavailable."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def key(*parts: str | bytes) -> bytes:
    """Return the key of all that an entry depends on: 32 bytes, from which the parts cannot be read."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


@cache
def code_version() -> str:
    """Return what changes with this package's source or any installed package. Blocks.

    Texts and vectors made by other code are not used: a list of what matters to them would be out of date some day.
    """
    folder = Path(__file__).parent
    source = [str(path.relative_to(folder)).encode() + path.read_bytes() for path in sorted(folder.rglob("*.py"))]
    installed = {found.name for place in sys.path for found in Path(place).glob("*.dist-info")}
    return key(sys.version, *source, *sorted(installed)).hex()


class TolerantCache:
    """A cache whose outages are misses: noted in the log when they begin, and the store is left alone for a while.

    Reading and writing fail each for itself: a full disk is still read.
    """

    def __init__(self, store: Cache, limits: CacheLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._reading = Outage("the cache", "read", limits.retry_seconds, clock)
        self._writing = Outage("the cache", "written", limits.retry_seconds, clock)

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the entries that are there and can be had."""
        if self._reading.lasts():
            return {}
        try:
            found = self._store.get_many(keys)
        except CacheUnavailable as error:
            self._reading.note(error)
            return {}
        self._reading.note(None)
        return found

    def put_many(self, entries: Mapping[bytes, bytes], lifetime_seconds: float) -> None:
        """Keep entries if that can be done."""
        if self._reading.lasts() or self._writing.lasts():
            return
        try:
            self._store.put_many(entries, lifetime_seconds)
        except CacheUnavailable as error:
            self._writing.note(error)
        else:
            self._writing.note(None)

    @property
    def trouble(self) -> str | None:
        """What went wrong the last time; its reason is in the log alone, as it may name a place."""
        return self._reading.trouble or self._writing.trouble

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()
