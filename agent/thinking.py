"""Splits inline `<think>…</think>` from a model's text as it streams. Pure: feed(), flush().

Only a tag at the very start of the answer opens a thought; later ones are text about tags.
"""

from agent.types import Text, Thinking

OPEN = "<think>"
CLOSE = "</think>"


class ThinkingSplitter:
    """Turns pieces of text into Thinking and Text, however the pieces are cut.

    `inside` starts within a thought, for templates that end their prompt with the opening tag.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._state = "thinking" if inside else "start"
        self._buffer = ""

    def feed(self, piece: str) -> list[Thinking | Text]:
        """Take a piece; return what is certain by now."""
        self._buffer += piece
        events: list[Thinking | Text] = []
        if self._state == "start":
            self._open()
        if self._state == "opened":
            self._skip_newlines()
        if self._state == "thinking":
            events += self._think()
        if self._state == "gap":
            self._skip_gap()
        if self._state == "text" and self._buffer:
            events.append(Text(self._buffer))
            self._buffer = ""
        return events

    def flush(self) -> list[Thinking | Text]:
        """Return what was held back at the end of the stream."""
        rest, self._buffer = self._buffer, ""
        if not rest or self._state == "gap":
            return []
        return [Thinking(rest)] if self._state == "thinking" else [Text(rest)]

    def _open(self) -> None:
        start = self._buffer.lstrip()
        if start.startswith(OPEN):
            self._state, self._buffer = "opened", start[len(OPEN) :]
        elif not OPEN.startswith(start):
            self._state = "text"

    def _skip_newlines(self) -> None:
        self._buffer = self._buffer.lstrip("\n")
        if self._buffer:
            self._state = "thinking"

    def _think(self) -> list[Thinking | Text]:
        thought, closed, rest = self._buffer.partition(CLOSE)
        if closed:
            self._state, self._buffer = "gap", rest
        else:
            thought, self._buffer = _without_partial(thought, CLOSE)
        return [Thinking(thought)] if thought else []

    def _skip_gap(self) -> None:
        self._buffer = self._buffer.lstrip()
        if self._buffer:
            self._state = "text"


def _without_partial(text: str, tag: str) -> tuple[str, str]:
    """Cut off an end that may be the beginning of the tag."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:]):
            return text[:-length], text[-length:]
    return text, ""
