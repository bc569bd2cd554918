"""Lets requests in: so many work at once, so many wait in the order of their coming, the rest are refused at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from agent.errors import QueueFull, Stopping

RETRY_AFTER_SECONDS = 10


class Door:
    """The door of one server."""

    def __init__(self, running: int, waiting: int) -> None:
        self._room = running + waiting
        self._seats = anyio.Semaphore(running)
        self._inside: set[anyio.CancelScope] = set()
        self.closing = False
        self.closed = False

    @property
    def running(self) -> int:
        """How many are at work."""
        return len(self._inside) - self.waiting

    @property
    def waiting(self) -> int:
        """How many wait for a seat."""
        return self._seats.statistics().tasks_waiting

    def refuse_when_full(self) -> None:
        """Raise QueueFull when nobody more may come in, Stopping when nobody at all may."""
        if self.closing:
            raise Stopping
        if len(self._inside) >= self._room:
            raise QueueFull(RETRY_AFTER_SECONDS)

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Hold a place from now on. Raises QueueFull or Stopping."""
        self.refuse_when_full()
        scope = anyio.CancelScope()
        self._inside.add(scope)
        try:
            yield Place(self._seats, scope)
        finally:
            self._inside.discard(scope)

    @property
    def empty(self) -> bool:
        """Whether nobody is inside."""
        return not self._inside

    def let_nobody_in(self) -> None:
        """Refuse who comes from now on; who is inside may finish."""
        self.closing = True

    def close(self) -> None:
        """End all work inside and let nobody in any more."""
        self.closing = self.closed = True
        for scope in self._inside:
            scope.cancel()


@dataclass(frozen=True, slots=True)
class Place:
    """A place inside: wait for a seat before work, and work inside the scope."""

    seats: anyio.Semaphore
    scope: anyio.CancelScope
