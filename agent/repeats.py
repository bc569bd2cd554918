"""Keeps finished answers for a short while, for clients that repeat a request by themselves after a broken connection.

They would else wait for fifty pages again. Only the owner of a request is given its answer.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from agent.kept import Kept
from agent.reason import Emit
from agent.types import Answer, Question, Text, Thinking

MOST_CHARS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given, and the id of the run that made it."""

    answer: Answer
    run_id: str


class Repeats:
    """The answers of the last `seconds`, at most `most_chars` characters of them."""

    def __init__(self, seconds: float, most_chars: int = MOST_CHARS) -> None:
        self._kept: Kept[bytes, Given] = Kept(seconds, most_chars, _chars)

    def keep(self, owner: str, question: Question, given: Given) -> None:
        """Remember an answer; what is too large is not kept."""
        self._kept.keep(_key(owner, question), given)

    def of(self, owner: str, question: Question) -> Given | None:
        """Return the answer that was given to the same owner's same question lately."""
        return self._kept.of(_key(owner, question))


async def say_again(answer: Answer, emit: Emit) -> None:
    """Tell an answer that was given before: its thoughts, its text, its end."""
    await emit(Thinking(answer.reasoning))
    await emit(Text(answer.text))
    await emit(answer)


def _key(owner: str, question: Question) -> bytes:
    return hashlib.sha256(f"{owner}\n{question!r}".encode("utf-8", "surrogatepass")).digest()


def _chars(given: Given) -> int:
    answer = given.answer
    return len(answer.text) + len(answer.reasoning) + 200 * len(answer.cited) + 1_000
