"""The visible answer as it is written: text and marks, without a trace of the marks that are dropped. Pure.

The end of a text that would be left over from a dropped mark waits for what follows: spaces, an opening parenthesis.
"""

import re

from agent.links import LinkReader

# What waits for a mark, and what may stand between two that are dropped.
OPEN_END = re.compile(r" *\(? *\Z")
BETWEEN_MARKS = " ,;"
# After these the full stop behind a dropped mark is one too many; before those no space is left in its place.
ENDINGS = (".", "!", "?", "…", ":", "。")
CLOSERS = frozenset(" \t\n.,;:!?…)]}»”’。，、！？；：")


class AnswerText:
    """`text` is what can be shown so far."""

    def __init__(self) -> None:
        self.text = ""
        # What keeps other addresses out; it reads what stands around a dropped mark as one.
        self.links: LinkReader | None = None
        self._tail = ""
        # What stood before a dropped mark; None where none was dropped since the last text.
        self._before: str | None = None

    def say(self, text: str) -> None:
        """Write text, but for its open end."""
        text = self._tail + text
        if self._before is not None:
            if not text.strip(BETWEEN_MARKS):
                self._tail = text
                return
            text, self._before = _closed_up(self._written, self._before, text), None
        said = OPEN_END.sub("", text)
        self._write(said)
        self._tail = text[len(said) :]

    def mark(self, shown: str) -> tuple[int, int]:
        """Write a mark; return its place."""
        self._write(self._tail if self._before is None else self._before or " " * (" " in self._tail), end=True)
        self._tail, self._before = "", None
        # Behind an exclamation mark it would be Markdown's for a picture.
        self.text += " " * self.text.endswith("!")
        start = len(self.text)
        self.text += shown
        if self.links:
            self.links.after_mark()
        return start, len(self.text)

    def drop(self) -> None:
        """Leave a mark out. What stands between two such marks goes with them."""
        if self._before is None:
            self._before = self._tail
        self._tail = ""

    def end(self) -> None:
        """Write what waits."""
        tail, self._tail = self._tail, ""
        if self._before is not None:
            tail, self._before = _closed_up(self._written, self._before, tail), None
        self._write(tail, end=True)

    @property
    def _written(self) -> str:
        return self.text + (self.links.held if self.links else "")

    def _write(self, text: str, *, end: bool = False) -> None:
        """Write text past what keeps links out; `end`: what it holds back is let go."""
        if self.links:
            text = self.links.feed(text) + (self.links.flush() if end else "")
        self.text += text


def _closed_up(written: str, before: str, after: str) -> str:
    """Return what stands around a dropped mark without its place, behind what is written."""
    if before.rstrip(" ").endswith("("):
        after = after.lstrip(" ")
        before, after = (before.rstrip(" ")[:-1], after[1:]) if after.startswith(")") else (before, after)
    if not before.strip(" ") and (not written or written.endswith("\n")):
        return before + after.lstrip(" ")
    if not before.strip(" ") and after.startswith(".") and written.endswith(ENDINGS):
        after = after[1:]
    return (before.rstrip(" ") if not after or after[0] in CLOSERS else before) + after
