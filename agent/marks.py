"""Finds citation marks in a streaming answer: splits it into text and marks, wherever the stream is cut. Pure.

`[3]`, `[3][5]`, `[3, 5]`, `[citation:3]`, `【3】`, `[3](url)` and `[[3]](url)` all name source 3; inside code they name
nothing, and as sources count from 1, nor does a group with a 0, such as an interval. Knows no sources.
"""

import re
from dataclasses import dataclass

NUMBERS = r"(?:citation|webpage|source)?\s*:?\s*\d{1,3}(?:\s*[,;]\s*(?:(?:citation|webpage|source)\s*:?\s*)?\d{1,3})*"
MARK = re.compile(
    rf"(?:\[\[\s*{NUMBERS}\s*\]\]|[\[【]\s*{NUMBERS}\s*[\]】])(?:\((?:https?://|file://|www\.)[^)\s]*\))?",
    re.IGNORECASE,
)
# The beginnings of a mark; text that fits is held back until it is a mark or is not.
PARTIAL = re.compile(
    r"(?:\[\[?|【)[a-z\d\s,;:]{0,60}(?:\]{0,2}|】)(?:\("
    r"(?:h|ht|htt|https?:?/?|https?://[^)\s]*|f|fi|fil|file:?/?|file://[^)\s]*|w|ww|www|www\.[^)\s]*)?)?",
    re.IGNORECASE,
)
MAX_HELD_CHARS = 2_200
TOKEN = re.compile(r"`+|~+|[\[【]|\n\n?")
BLOCK_FENCE = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark, with the numbers of the sources that it names, each once."""

    numbers: tuple[int, ...]


class Code(str):
    """Text in a block of code, its fences included."""

    __slots__ = ()


class MarkReader:
    """Splits an answer as it streams: `feed` and `flush` return text, code and marks in their order."""

    def __init__(self) -> None:
        self._held = ""
        self._fence = ""

    @property
    def holds(self) -> bool:
        """Whether something is held back that may be a mark."""
        return bool(self._held)

    @property
    def open_block(self) -> str:
        """The fence that would close a block of code, where one is open."""
        return self._fence if len(self._fence) >= BLOCK_FENCE else ""

    def feed(self, piece: str) -> list[str | Mark]:
        """Take a piece of the answer; return what is certain, never cut inside a mark."""
        return self._parts(self._held + piece, final=False)

    def flush(self) -> list[str | Mark]:
        """Return what was held back at the end of the stream."""
        return self._parts(self._held, final=True)

    def _parts(self, text: str, *, final: bool) -> list[str | Mark]:
        parts: list[str | Mark] = []
        said = place = 0
        self._held = ""
        while token := TOKEN.search(text, place):
            if not final and self._undecided(text, token):
                self._held = text[token.start() :]
                text = text[: token.start()]
                break
            mark = None if self._fence or token[0][0] in "`~\n" else MARK.match(text, token.start())
            numbers = _numbers(mark[0]) if mark else ()
            if mark and 0 not in numbers:
                parts += [text[said : token.start()], Mark(numbers)]
                said = place = mark.end()
                continue
            place, block = token.end(), self.open_block
            self._code(token[0])
            if self.open_block != block:
                cut = place if block else token.start()
                parts.append(_text(text[said:cut], block))
                said = cut
        parts.append(_text(text[said:], self.open_block))
        return [part for part in parts if part]

    def _undecided(self, text: str, token: re.Match[str]) -> bool:
        """Tell whether more text could change the meaning of a token."""
        rest = text[token.start() :]
        if token[0][0] in "`~" or (token[0] == "\n" and self._fence):
            return token.end() == len(text)
        if token[0][0] == "\n" or self._fence:
            return False
        return len(rest) <= MAX_HELD_CHARS and PARTIAL.fullmatch(rest) is not None

    def _code(self, run: str) -> None:
        """Follow code: a run of backticks or tildes is closed by an equal run, an inline span by a blank line too."""
        if run[0] == "`" or len(run) >= BLOCK_FENCE:
            self._fence = "" if self._fence == run else self._fence or run
        elif run == "\n\n" and len(self._fence) < BLOCK_FENCE:
            self._fence = ""


def _text(text: str, block: str) -> str:
    return Code(text) if block else text


def _numbers(mark: str) -> tuple[int, ...]:
    label = mark.partition("](")[0]
    return tuple(dict.fromkeys(int(digits) for digits in re.findall(r"\d+", label)))
