"""A memory of what was read: what one is, what is kept of a page, and how its outages are borne.

Knows nothing of where it is kept (`retrieval.memories`) or of when (`retrieval.remembering`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from retrieval.cache import key
from retrieval.errors import MemoryUnavailable
from retrieval.limits import MemoryLimits
from retrieval.outage import Outage
from retrieval.rank import Vectors
from retrieval.types import Document, Hit, Passage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that was read, and those of its passages whose vectors are known.

    `read_at` is in Unix seconds. `whole`: no passage that is worth a vector lacks one.
    """

    document: Document
    read_at: float
    passages: tuple[tuple[Passage, Vectors], ...] = field(default=(), repr=False)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Near:
    """A passage near a query: its page, with the passage as snippet, and the cosine."""

    hit: Hit
    cosine: float


@dataclass(frozen=True, slots=True)
class Sharing:
    """A page that shares stems with a query."""

    hit: Hit
    stems: frozenset[str]


class Memory(Protocol):
    """Keeps pages with vectors of one embedder. Every method blocks: call it in a thread, from as many as you like.

    Each raises MemoryUnavailable.
    """

    def keep(self, pages: Sequence[ReadPage]) -> None:
        """Keep pages, in place of what was kept under the same addresses; the oldest make room for them."""
        ...

    def near(self, vector: Vectors, count: int) -> list[Near]:
        """Return the passages nearest to a vector of shape (dimensions,), the nearest first."""
        ...

    def sharing(self, stems: Sequence[str], count: int) -> list[Sharing]:
        """Return the pages that share stems with a query, best first."""
        ...

    def page(self, url: str) -> ReadPage | None:
        """Return what is kept of a page, without its vectors."""
        ...

    def vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors that are known, by the passages' texts under their pages' titles."""
        ...

    def unfinished(self, count: int) -> list[ReadPage]:
        """Return the newest pages that are not whole, without their vectors."""
        ...

    def tend(self) -> None:
        """Forget what is too old, and bring in order what makes searching slow."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def text_key(text: str) -> bytes:
    """Return the key of a passage's text: 16 bytes."""
    return key(text)[:16]


class TolerantMemory:
    """A memory whose outages are borne: noted in the log when they begin, and the store is left alone for a while.

    What a page's reading can do without comes back empty; a search raises, so that the outage is told of. Reading and
    writing fail each for itself: what lies on a full disk is still searched.
    """

    def __init__(self, store: Memory, limits: MemoryLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._reading = Outage("the memory", "read", limits.retry_seconds, clock)
        self._writing = Outage("the memory", "written", limits.retry_seconds, clock)

    @property
    def trouble(self) -> str | None:
        """What went wrong the last time; its reason is in the log alone, as it may name a place."""
        return self._reading.trouble or self._writing.trouble

    def near(self, vector: Vectors, count: int) -> list[Near]:
        """Search by a vector. Raises MemoryUnavailable."""
        return self._tried(self._reading, lambda: self._store.near(vector, count))

    def sharing(self, stems: Sequence[str], count: int) -> list[Sharing]:
        """Search by stems. Raises MemoryUnavailable."""
        return self._tried(self._reading, lambda: self._store.sharing(stems, count))

    def page(self, url: str) -> ReadPage | None:
        """Return what is kept of a page, if it can be had."""
        return self._or(None, self._reading, lambda: self._store.page(url))

    def vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors that are known and can be had."""
        return self._or({}, self._reading, lambda: self._store.vectors(texts))

    def unfinished(self, count: int) -> list[ReadPage]:
        """Return the newest pages that are not whole, if they can be had and written."""
        if self._writing.lasts():
            return []
        return self._or([], self._reading, lambda: self._store.unfinished(count))

    def keep(self, pages: Sequence[ReadPage]) -> None:
        """Keep pages if that can be done."""
        self._or(None, self._writing, lambda: self._store.keep(pages))

    def tend(self) -> None:
        """Bring the store in order if that can be done."""
        self._or(None, self._writing, self._store.tend)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _or(self, otherwise: T, outage: Outage, work: Callable[[], T]) -> T:
        try:
            return self._tried(outage, work)
        except MemoryUnavailable:
            return otherwise

    def _tried(self, outage: Outage, work: Callable[[], T]) -> T:
        if outage.lasts():
            raise MemoryUnavailable("the memory failed lately and is left alone for a while")
        try:
            done = work()
        except MemoryUnavailable as error:
            outage.note(error)
            raise
        outage.note(None)
        return done
