"""Keeps answers by their ids for a while, for clients that send the id of an answer in place of its text. In memory."""

from typing import Final

from cachetools import TTLCache

MOST_CHARS: Final = 10_000_000


class Recalled:
    """The answers of the last `seconds`, at most `most_chars` characters of them; an owner is given only their own."""

    def __init__(self, seconds: float, most_chars: int = MOST_CHARS) -> None:
        self._kept: TTLCache[tuple[str, str], str] = TTLCache(most_chars, seconds, getsizeof=_chars)

    def keep(self, owner: str, answer_id: str, text: str) -> None:
        """Remember an answer; what is too large is not kept."""
        if self._kept.ttl > 0 and _chars(text) <= self._kept.maxsize:
            self._kept[owner, answer_id] = text

    def of(self, owner: str, answer_id: str) -> str | None:
        """Return the answer that an owner was given under this id lately."""
        return self._kept.get((owner, answer_id))


def _chars(text: str) -> int:
    return len(text) + 200
