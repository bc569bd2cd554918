"""Keeps values in memory for a while, bounded by their characters: what is old or too much goes."""

from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import TTLCache

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Kept(Generic[KeyT, ValueT]):
    """The values of the last `seconds`, at most `most_chars` characters of them as `chars` counts; 0 keeps none."""

    def __init__(self, seconds: float, most_chars: int, chars: Callable[[ValueT], int]) -> None:
        self._values: TTLCache[KeyT, ValueT] = TTLCache(most_chars, seconds, getsizeof=chars)
        self._chars = chars

    def keep(self, key: KeyT, value: ValueT) -> None:
        """Remember a value; what is too large is not kept."""
        if self._values.ttl > 0 and self._chars(value) <= self._values.maxsize:
            self._values[key] = value

    def of(self, key: KeyT) -> ValueT | None:
        """Return what is kept under a key."""
        return self._values.get(key)
