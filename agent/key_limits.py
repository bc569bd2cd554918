"""What one key may ask: so many requests a minute, so many at once, and what is left of that.

Counts by what replicas share, so that a key has the same limits however many serve it.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from agent.errors import RateLimited
from retrieval.errors import NoPlace
from retrieval.shared import Shared

# Clients do not wait longer by themselves.
MOST_RETRY_SECONDS = 60
# Nobody knows when a running request ends.
BUSY_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Left:
    """Where a key stands: `limit` requests a minute, `remaining` of them now, one more in `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: float


class KeyLimits:
    """Counts what each key asks, by what `shared` gives when it is asked. None for a limit sets none."""

    def __init__(self, per_minute: int | None, at_once: int | None, shared: Callable[[], Shared]) -> None:
        self._per_minute, self._at_once, self._shared = per_minute, at_once, shared

    @asynccontextmanager
    async def asking(self, key: str) -> AsyncIterator[Left | None]:
        """Count one request of a key while it runs; gives what is left to it, None without a limit.

        `key` is a hash of it. Raises RateLimited.
        """
        async with AsyncExitStack() as stack:
            await self._take_place(key, stack)
            await self._count(key)
            yield await self.left(key)

    async def left(self, key: str) -> Left | None:
        """Tell where a key stands; None without a limit."""
        if self._per_minute is None:
            return None
        minute = await self._shared().minute(_name(key), self._per_minute)
        return Left(self._per_minute, minute.remaining, minute.reset_seconds)

    async def _take_place(self, key: str, stack: AsyncExitStack) -> None:
        if self._at_once is None:
            return
        try:
            await stack.enter_async_context(self._shared().place(_name(key), self._at_once, wait=False))
        except NoPlace as error:
            raise RateLimited(f"have {self._at_once} requests running at once", BUSY_RETRY_SECONDS) from error

    async def _count(self, key: str) -> None:
        if self._per_minute is None or await self._shared().hit(_name(key), self._per_minute):
            return
        wait = MOST_RETRY_SECONDS
        if left := await self.left(key):
            wait = min(wait, max(1, math.ceil(left.reset_seconds)))
        raise RateLimited(f"make {self._per_minute} requests a minute", wait)


def _name(key: str) -> str:
    return f"key {key}"
