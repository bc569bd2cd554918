"""Citation marks as the server streams them, `[[1]](url)`, made short: a number that opens the page. Pure."""

import re
from collections.abc import Iterator

MARK = re.compile(r"\[\[(\d+)\]\]\(([^\s()]+)\)")
BEGUN = re.compile(r"\[(?:\[\d*(?:\](?:\](?:\([^\s()]*)?)?)?)?\Z")


class ShortMarks:
    """Takes the pieces of a text, and gives them on with short marks. What may become a mark is held back."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield what can be shown by now: a text and the address it opens, which is empty for what is no mark."""
        text = self._held + text
        begun = BEGUN.search(text)
        ready = text[: begun.start()] if begun else text
        self._held = text[len(ready) :]
        place = 0
        for mark in MARK.finditer(ready):
            yield ready[place : mark.start()], ""
            yield f"[{mark[1]}]", mark[2]
            place = mark.end()
        yield ready[place:], ""

    def flush(self) -> str:
        """Return what was held back and became no mark."""
        held, self._held = self._held, ""
        return held
