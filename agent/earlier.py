"""Remembers what the model was given for the last turn of a conversation, so that a follow-up starts from it.

A conversation is known by its owner and by what its user has asked so far: clients send it whole each time, and may
change what was answered. Kept in memory; a server that does not know it has only more to read.
"""

from typing import Final

from agent.kept import Kept
from agent.types import Context, Message, Question, Source
from retrieval.types import SearchFilters

MOST_CHARS: Final = 30_000_000
KEEP_SECONDS: Final = 3_600.0

_Key = tuple[str, SearchFilters, tuple[str, ...]]


class Earlier:
    """The sources of the last turns, at most `most_chars` characters of pages, each for `seconds`."""

    def __init__(self, most_chars: int = MOST_CHARS, seconds: float = KEEP_SECONDS) -> None:
        self._kept: Kept[_Key, tuple[Source, ...]] = Kept(seconds, most_chars, _chars)

    def keep(self, question: Question, context: Context) -> None:
        """Remember what a question was answered from; what is too large is not kept."""
        self._kept.keep(_key(question, question.messages), context.sources)

    def of(self, question: Question) -> tuple[Source, ...]:
        """Return the sources of the turn before; () for a first question."""
        turns = [place for place, message in enumerate(question.messages) if message.role == "assistant"]
        return (self._kept.of(_key(question, question.messages[: turns[-1]])) or ()) if turns else ()


def _key(question: Question, messages: tuple[Message, ...]) -> _Key:
    asked = tuple(message.content for message in messages if message.role == "user")
    return question.owner, question.filters, asked


def _chars(sources: tuple[Source, ...]) -> int:
    return sum(len(source.document.text) for source in sources)
