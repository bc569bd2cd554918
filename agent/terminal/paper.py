"""A stream that people read: a terminal, or whatever its text is sent to.

Text of strangers is written to it: no control character, escape sequence or bidi control of theirs comes through, and
nothing they write is markup.
"""

import unicodedata
from typing import TextIO
from urllib.parse import quote, urlsplit

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

PLAIN, DIM, BOLD = Style(), Style(dim=True), Style(bold=True)
# Lines, tabs, and the two joiners without which Persian, Hindi and emoji fall apart.
KEPT = "\n\t\u200c\u200d"
LINKED_SCHEMES = ("http", "https", "file")


def printable(text: str) -> str:
    """Return a text without what could steer a terminal or turn its lines around."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each for each in text if each.isprintable() or each in KEPT or unicodedata.category(each) == "Zs")


def one_line(text: str) -> str:
    """Return a text on one line, without what could steer a terminal."""
    return " ".join(printable(text).split())


class Paper:
    """Writes to a stream at once, styled where it is a terminal. Raises BrokenPipeError when nobody reads any more."""

    def __init__(self, stream: TextIO) -> None:
        terminal = stream.isatty()
        self.console = _Console(file=stream, force_terminal=terminal, force_jupyter=False, highlight=False)
        self.is_terminal = terminal
        # A terminal that can neither move its cursor nor follow links is written to as a pipe is.
        self.is_rich = terminal and not self.console.is_dumb_terminal
        self._in_line = False

    def put(self, text: str, style: Style = PLAIN) -> None:
        """Write a piece of text."""
        if text := printable(text):
            # Segments are written as they are: no tab is expanded, no space is stripped, no line is broken.
            self.console.print(Segments([Segment(text, style)]), soft_wrap=True)
            self._in_line = not text.endswith("\n")

    def put_as_it_is(self, text: str) -> None:
        """Write a text byte for byte, but to a terminal as a line."""
        if self.is_terminal:
            self.line(text)
        else:
            self.console.file.write(text)
            self.console.file.flush()

    def link(self, text: str, url: str, style: Style = PLAIN) -> None:
        """Write a piece of text that opens an address, where the address is one to be opened and the terminal can."""
        self.put(text, style + _link_style(url))

    def line(self, text: str = "", style: Style = PLAIN) -> None:
        """Write a line of its own."""
        self.end_line()
        self.put(text + "\n", style)

    def end_line(self) -> None:
        """End a line that has begun."""
        if self._in_line:
            self.put("\n")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # By default it would exit in mid-request.
        raise BrokenPipeError


def _link_style(url: str) -> Style:
    try:
        opens = urlsplit(url).scheme in LINKED_SCHEMES
    except ValueError:
        opens = False
    # All but visible ASCII is encoded: an address ends where a control character stands.
    return Style(link=quote(printable(url), safe="!#$%&'()*+,/:;=?@[]~")) if opens else PLAIN
