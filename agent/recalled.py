"""Keeps answers by their ids for a while, for clients that send the id of an answer in place of its text. In memory."""

from typing import Final

from agent.kept import Kept

MOST_CHARS: Final = 10_000_000


class Recalled:
    """The answers of the last `seconds`, at most `most_chars` characters of them; an owner is given only their own."""

    def __init__(self, seconds: float, most_chars: int = MOST_CHARS) -> None:
        self._kept: Kept[tuple[str, str], str] = Kept(seconds, most_chars, _chars)

    def keep(self, owner: str, answer_id: str, text: str) -> None:
        """Remember an answer; what is too large is not kept."""
        self._kept.keep((owner, answer_id), text)

    def of(self, owner: str, answer_id: str) -> str | None:
        """Return the answer that an owner was given under this id lately."""
        return self._kept.of((owner, answer_id))


def _chars(text: str) -> int:
    return len(text) + 200
