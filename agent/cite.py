"""Reads citation marks out of a streaming answer, renumbers them by first appearance, and notes where they stand.

`[3]`, `[3][5]`, `[3, 5]`, `[citation:3]`, `【3】`, `[3](url)` and `[[3]](url)` all mean source 3; inside code they mean
nothing. A mark of a source that does not exist is dropped and counted. Pure: feed(), flush().
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.types import Annotation, CitationStyle, Cited, Source
from retrieval import urls

NUMBERS = r"(?:citation|webpage|source)?\s*:?\s*\d{1,3}(?:\s*[,;]\s*(?:(?:citation|webpage|source)\s*:?\s*)?\d{1,3})*"
MARK = re.compile(
    rf"(?:\[\[\s*{NUMBERS}\s*\]\]|[\[【]\s*{NUMBERS}\s*[\]】])(?:\((?:https?://|file://|www\.)[^)\s]*\))?",
    re.IGNORECASE,
)
# The beginnings of a mark; text that fits is held back until it is a mark or is not.
PARTIAL = re.compile(
    r"(?:\[\[?|【)[a-z\d\s,;:]{0,60}(?:\]{0,2}|】)(?:\((?:h|ht|htt|https?:?/?|https?://[^)\s]*|f|fi|fil|file:?/?|file://[^)\s]*)?)?",
    re.IGNORECASE,
)
MAX_HELD_CHARS = 2_200
TOKEN = re.compile(r"`+|[\[【]|\n\n?")
SNIPPET_CHARS = 300


@dataclass(slots=True)
class CitationReader:
    """One answer's marks. `text` is the visible answer so far; `unknown` counts marks that were dropped.

    `style` None: nothing is a mark, for answers in a form of their own.
    """

    sources: tuple[Source, ...]
    style: CitationStyle | None = "link"
    text: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    unknown: int = 0
    _held: str = ""
    _fence: str = ""

    def feed(self, piece: str) -> str:
        """Take a piece of the model's text; return what can be shown, never cut inside a mark."""
        if self.style is None:
            self.text += piece
            return piece
        return self._advance(self._held + piece, final=False)

    def flush(self) -> str:
        """Return what was held back at the end of the stream."""
        return self._advance(self._held, final=True)

    @property
    def cited(self) -> tuple[Cited, ...]:
        """The cited sources; the one at index i carries mark i+1."""
        by_number = {source.number: source for source in self.sources}
        return tuple(_cited(by_number[number]) for number in self.order)

    def _advance(self, text: str, *, final: bool) -> str:
        start = len(self.text)
        self._held = ""
        place = 0
        while token := TOKEN.search(text, place):
            self.text += text[place : token.start()]
            if not final and self._undecided(text, token):
                self._held = text[token.start() :]
                return self.text[start:]
            place = self._token(text, token)
        self.text += text[place:]
        return self.text[start:]

    def _undecided(self, text: str, token: re.Match[str]) -> bool:
        """Tell whether more text could change the meaning of a token."""
        rest = text[token.start() :]
        if token[0][0] == "`" or (token[0] == "\n" and self._fence):
            return token.end() == len(text)
        if token[0][0] == "\n" or self._fence:
            return False
        return len(rest) <= MAX_HELD_CHARS and PARTIAL.fullmatch(rest) is not None

    def _token(self, text: str, token: re.Match[str]) -> int:
        """Take in one token; return the place after it."""
        mark = None if self._fence or token[0][0] in "`\n" else MARK.match(text, token.start())
        if mark:
            self._mark(mark[0])
            return mark.end()
        self._code(token[0])
        self.text += token[0]
        return token.end()

    def _code(self, run: str) -> None:
        """Follow code spans: a run of backticks is closed by an equal run, an inline span by a blank line too."""
        if run[0] == "`":
            self._fence = "" if self._fence == run else self._fence or run
        elif run == "\n\n" and len(self._fence) < 3:
            self._fence = ""

    def _mark(self, mark: str) -> None:
        label = mark.partition("](")[0]
        known = {source.number: source for source in self.sources}
        for number in dict.fromkeys(int(digits) for digits in re.findall(r"\d+", label)):
            if number in known:
                self._cite(known[number])
            else:
                self.unknown += 1

    def _cite(self, source: Source) -> None:
        """Write the mark of a source's page; one page may stand in two sources."""
        source = next(each for each in self.sources if each.document.url == source.document.url)
        if source.number not in self.order:
            self.order.append(source.number)
        number = self.order.index(source.number) + 1
        url = urls.printable(source.document.url)
        shown = f"[[{number}]]({url})" if self.style == "link" else f"[{number}]"
        self.annotations.append(Annotation(len(self.text), len(self.text) + len(shown), url, source.document.title))
        self.text += shown


def cited_all(sources: Sequence[Source]) -> tuple[Cited, ...]:
    """Return every page of the sources once, for an answer without marks."""
    pages = {source.document.url: source for source in reversed(sources)}
    return tuple(_cited(source) for source in reversed(pages.values()))


def _cited(source: Source) -> Cited:
    document, best = source.document, source.passages[0].passage
    return Cited(urls.printable(document.url), document.title, document.date, best.text[:SNIPPET_CHARS])
