"""What one key may ask: so many requests a minute, so many at once, and what is left of that."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from agent.errors import RateLimited

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
    """Counts what each key asks. None for a limit sets none."""

    def __init__(self, per_minute: int | None, at_once: int | None) -> None:
        self._window = MovingWindowRateLimiter(MemoryStorage())
        self._per_minute = None if per_minute is None else RateLimitItemPerMinute(per_minute)
        self._at_once = at_once
        self._running: Counter[str] = Counter()

    @contextmanager
    def asking(self, key: str) -> Iterator[Left | None]:
        """Count one request of a key while it runs; gives what is left to it, None without a limit.

        Raises RateLimited.
        """
        if self._at_once is not None and self._running[key] >= self._at_once:
            raise RateLimited(f"have {self._at_once} requests running at once", BUSY_RETRY_SECONDS)
        if self._per_minute is not None and not self._window.hit(self._per_minute, key):
            wait = min(MOST_RETRY_SECONDS, max(1, math.ceil(self._left(self._per_minute, key).reset_seconds)))
            raise RateLimited(f"make {self._per_minute.amount} requests a minute", wait)
        self._running[key] += 1
        try:
            yield self.left(key)
        finally:
            self._running[key] -= 1
            self._running += Counter()  # forgets keys that run nothing

    def left(self, key: str) -> Left | None:
        """Tell where a key stands; None without a limit."""
        return None if self._per_minute is None else self._left(self._per_minute, key)

    def _left(self, item: RateLimitItemPerMinute, key: str) -> Left:
        window = self._window.get_window_stats(item, key)
        return Left(item.amount, max(0, window.remaining), max(0.0, window.reset_time - time.time()))
