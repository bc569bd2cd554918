"""What replicas must know of each other, so that all of them ask no more of a site or an engine than one would.

Three things by name: notes that end by themselves, places of which there are a few, and requests counted in a moving
minute. `InProcess` keeps them for this process alone; `retrieval.replicas` for all that name one Redis server. Knows
nothing of what a note says.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import anyio
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from retrieval.errors import NoPlace
from retrieval.limits import SharedLimits


@dataclass(frozen=True, slots=True)
class Note:
    """What stands under a name, or None, and for how long yet; `now` is seconds on the clock of who keeps it."""

    text: str | None
    now: float
    left_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Minute:
    """What is left of a moving minute: `remaining` requests now, one more in `reset_seconds`."""

    remaining: int
    reset_seconds: float


class Shared(Protocol):
    """Keeps what is said by name. It never fails: where a store does, it keeps for this process what it can."""

    async def note(self, name: str) -> Note:
        """Read a note."""
        ...

    async def change(self, name: str, changed: Callable[[Note], str | None], keep_seconds: float) -> Note:
        """Put another text in a note's place, or none, and give the new note.

        `changed` is pure: it is called again when another replica was faster. The note ends after `keep_seconds`.
        """
        ...

    def place(self, name: str, of: int, *, wait: bool = True) -> AbstractAsyncContextManager[None]:
        """Hold one of so many places; raises NoPlace where all are taken and one may not `wait`."""
        ...

    async def hit(self, name: str, a_minute: int) -> bool:
        """Count one, if that makes no more than so many within a minute; tell whether it was."""
        ...

    async def minute(self, name: str, a_minute: int) -> Minute:
        """Tell what is left of the minute."""
        ...


class InProcess:
    """Keeps it for this process. `clock` gives seconds that never run back."""

    def __init__(
        self,
        limits: SharedLimits = SharedLimits(),  # noqa: B008  (frozen)
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._notes: dict[str, tuple[str, float]] = {}
        self._places: dict[str, anyio.Semaphore] = {}

    async def note(self, name: str) -> Note:
        """Read a note."""
        return self._read(name)

    async def change(self, name: str, changed: Callable[[Note], str | None], keep_seconds: float) -> Note:
        """Put another text in a note's place."""
        before = self._read(name)
        return self.keep(name, changed(before), keep_seconds)

    def keep(self, name: str, text: str | None, keep_seconds: float) -> Note:
        """Put down a text, or None; of too many notes those go that end first."""
        now = self._clock()
        if text is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = (text, now + keep_seconds)
        if len(self._notes) > self._limits.notes:
            self._notes.pop(min(self._notes, key=lambda each: self._notes[each][1]))
        return Note(text, now, keep_seconds if text is not None else 0.0)

    def lasting(self) -> list[tuple[str, str, float]]:
        """List the notes that have not ended: name, text and the seconds left to each."""
        now = self._clock()
        return [(name, text, ends - now) for name, (text, ends) in self._notes.items() if ends > now]

    @asynccontextmanager
    async def place(self, name: str, of: int, *, wait: bool = True) -> AsyncIterator[None]:
        """Hold one of so many places, given in the order of asking; what nobody holds is forgotten."""
        places = self._places.setdefault(name, anyio.Semaphore(of))
        try:
            await _taken(places, wait=wait)
            try:
                yield
            finally:
                places.release()
        finally:
            if places.value == of and not places.statistics().tasks_waiting:
                self._places.pop(name, None)

    async def hit(self, name: str, a_minute: int) -> bool:
        """Count one, if that makes no more than so many within a minute."""
        return self._window.hit(RateLimitItemPerMinute(a_minute), name)

    async def minute(self, name: str, a_minute: int) -> Minute:
        """Tell what is left of the minute."""
        stats = self._window.get_window_stats(RateLimitItemPerMinute(a_minute), name)
        return Minute(max(0, stats.remaining), max(0.0, stats.reset_time - time.time()))

    @cached_property
    def _window(self) -> MovingWindowRateLimiter:
        # Made when it is needed: the storage starts a thread.
        return MovingWindowRateLimiter(MemoryStorage())

    def _read(self, name: str) -> Note:
        now = self._clock()
        text, ends = self._notes.get(name, (None, now))
        if ends > now:
            return Note(text, now, ends - now)
        self._notes.pop(name, None)
        return Note(None, now)


async def _taken(places: anyio.Semaphore, *, wait: bool) -> None:
    if wait:
        await places.acquire()
        return
    try:
        places.acquire_nowait()
    except anyio.WouldBlock:
        raise NoPlace from None
