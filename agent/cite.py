"""Writes the citation marks of a streaming answer: each proven, numbered by first appearance, its place noted.

A mark of a source that does not exist is dropped and counted. One that its page does not prove is moved to a page that
does, or handled as the policy says. What follows a mark waits until it is known what the mark stands behind: to the end
of its sentence at most, or for so many characters as `agent.claims` takes for one. No I/O: feed(), flush().
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from agent.answer_text import AnswerText
from agent.claims import BEFORE_CHARS, MOST_CHARS, claim, unmarked
from agent.links import LinkReader
from agent.marks import Code, Mark, MarkReader
from agent.proof import Proof, Verdict
from agent.text_fragment import at_quote
from agent.types import Annotation, CheckedMark, CitationStyle, Cited, Source, Unsupported
from retrieval import urls
from retrieval.types import Document

SNIPPET_CHARS = 300
# What is seen after a mark that nothing proves, where it is not dropped.
FLAG = "[?]"
# What makes a piece worth a thread: marks are proven in it.
BRACKETS = frozenset("[]【】")
SPACE = re.compile(r"\s+")
# After so many marks in a row the next ones are others.
MOST_TOGETHER = 20
# A model in a loop writes thousands of marks.
MOST_NOTED = 200


@dataclass(slots=True)
class CitationReader:
    """One answer's marks; `unknown` counts those of no source.

    `style` None: nothing is a mark, for answers in a form of their own. `proof` None: marks are not checked. `cited`
    are the pages of the marks by their URL, in order of first appearance: the first one carries mark 1. `adds`: a
    sentence without a mark gets one where a page says it. `links` None: whatever the model links stays.
    """

    sources: tuple[Source, ...]
    style: CitationStyle | None = "link"
    proof: Proof | None = None
    unsupported: Unsupported = "drop"
    adds: bool = False
    links: LinkReader | None = None
    annotations: list[Annotation] = field(default_factory=list)
    cited: dict[str, Cited] = field(default_factory=dict)
    checked: list[CheckedMark] = field(default_factory=list)
    unknown: int = 0
    _marks: MarkReader = field(default_factory=MarkReader)
    _written: AnswerText = field(default_factory=AnswerText)
    _parts: list[str | Mark] = field(default_factory=list)
    _plain: str = ""
    _since: int = 0
    _pause: str = ""
    _added: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._written.links = self.links

    @property
    def text(self) -> str:
        """The visible answer so far."""
        return self._written.text

    @property
    def proven(self) -> bool:
        """Whether some mark holds, for all that is known."""
        return any(mark.support is None or mark.quote for mark in self.annotations)

    def takes_time(self, piece: str) -> bool:
        """Tell whether feeding a piece may take longer than an event loop can wait: marks are proven."""
        return self.proof is not None and bool(
            self.adds or self._parts or self._marks.holds or not BRACKETS.isdisjoint(piece)
        )

    def feed(self, piece: str) -> str:
        """Take a piece of the model's text; return what can be shown, never cut inside a mark."""
        if self.style is None:
            self._written.text += piece
            return piece
        return self._advance(self._marks.feed(piece), final=False)

    def flush(self) -> str:
        """Return what was held back at the end of the stream."""
        return self._advance(self._marks.flush(), final=True)

    def close(self, note: str) -> str:
        """Write a note behind the answer, out of a block of code that it left open; return what can be shown."""
        fence = self._marks.open_block
        return self.feed(f"\n{fence}" if fence else "") + self.feed(note) + self.flush()

    def _advance(self, parts: Sequence[str | Mark], *, final: bool) -> str:
        start = len(self.text)
        self._parts += parts
        while self._parts:
            part = self._parts[0]
            if isinstance(part, Mark):
                self._say_pause()
                if not self._mark(final=final):
                    break
                continue
            del self._parts[0]
            if isinstance(part, Code):
                self._say_code(part)
            elif self.adds:
                self._say_marking(part)
            else:
                self._say(part)
        if final:
            self._end()
        return self.text[start:]

    def _end(self) -> None:
        if self.adds:
            self._add_mark("")
        self._say_pause()
        self._written.end()

    def _say(self, text: str) -> None:
        self._remember(text)
        self._written.say(text)

    def _say_code(self, code: Code) -> None:
        """Write code; what a mark stands behind does not reach over it."""
        if self._pause:
            self._add_mark(self._pause)
        self._say_pause()
        self._say(code)
        self._since = len(self._plain)

    def _say_marking(self, text: str) -> None:
        """Write text, and a mark after each sentence that has none; space at its end waits for what comes."""
        text = self._pause + text
        self._pause = ""
        place = 0
        for pause in SPACE.finditer(text):
            self._say(text[place : pause.start()])
            place = pause.start()
            if pause.end() == len(text):
                self._pause = pause[0]
                return
            self._add_mark(text[pause.start() : pause.end() + 1])
        self._say(text[place:])

    def _say_pause(self) -> None:
        pause, self._pause = self._pause, ""
        if pause:
            self._say(pause)

    def _add_mark(self, then: str) -> None:
        """Add a mark behind a sentence that ends here, before some space and a letter, where a page says it."""
        said = None if then[-1:].islower() else self._ended(then)
        verdict = self.proof.anywhere(said) if self.proof and said and said not in self._added else None
        if said and verdict and verdict.quote:
            self._added.add(said)
            self._written.say(" ")
            place, url = self._cite(verdict.page, verdict), urls.printable(verdict.page.url)
            self._note(CheckedMark(said, None, url, place, verdict.support, verdict.quote))
            self._since = len(self._plain)

    def _ended(self, then: str) -> str | None:
        line_ends = "\n" if "\n" in then or not then else " "
        return unmarked(self._plain + line_ends, self._since)

    def _remember(self, text: str) -> None:
        """Keep the end of the answer without marks."""
        self._plain += text
        if len(self._plain) > 2 * BEFORE_CHARS:
            self._since -= len(self._plain) - BEFORE_CHARS
            self._plain = self._plain[-BEFORE_CHARS:]

    def _mark(self, *, final: bool) -> bool:
        """Write the marks that stand together at the head of what waits, if it is known what they stand behind."""
        run = sum(1 for _ in takewhile(lambda part: isinstance(part, Mark), islice(self._parts, MOST_TOGETHER)))
        after = self._after(run)
        if not after and not final and run < MOST_TOGETHER:
            return False
        said = claim(self._plain, after, self._since, final=final) if self.proof else ""
        if said is None:
            return False
        marks = (part for part in self._parts[:run] if isinstance(part, Mark))
        numbers = dict.fromkeys(number for mark in marks for number in mark.numbers)
        del self._parts[:run]
        self._since = len(self._plain)
        self._cite_all(list(numbers), said)
        return True

    def _after(self, run: int) -> str:
        """Return so much of the text behind some marks as it takes to tell what they stand behind."""
        after = ""
        for part in islice(self._parts, run, None):
            if len(after) >= MOST_CHARS:
                break
            after += part if isinstance(part, str) else ""
        return after

    def _cite_all(self, numbers: Sequence[int], said: str) -> None:
        """Write the marks of one claim, each page once."""
        named = {source.number: source.document for source in self.sources if source.number in numbers}
        for number in numbers:
            if number not in named:
                self.unknown += 1
                self._written.drop()
                self._note(CheckedMark(said, None, None, len(self.text)))
        pages = {named[number].url: named[number] for number in numbers if number in named}
        written: set[str] = set()
        for page, verdict in zip(pages.values(), self._verdicts(said, list(pages.values())), strict=True):
            kept = verdict.page if verdict.holds or self.unsupported != "drop" else None
            start = len(self.text)
            if kept is None:
                self._written.drop()
            elif kept.url not in written:
                start = self._cite(kept, verdict)
            written.update([kept.url] if kept else [])
            now = urls.printable(kept.url) if kept else None
            written_as = urls.printable(page.url)
            self._note(CheckedMark(said, written_as, now, start, verdict.support, verdict.quote))

    def _note(self, mark: CheckedMark) -> None:
        if len(self.checked) < MOST_NOTED:
            self.checked.append(mark)

    def _verdicts(self, said: str, pages: Sequence[Document]) -> Sequence[Verdict]:
        return self.proof.verdicts(said, pages) if self.proof else [Verdict(page) for page in pages]

    def _cite(self, page: Document, verdict: Verdict) -> int:
        """Write the mark of a page; return its place."""
        if page.url not in self.cited:
            self.cited[page.url] = self._listed(page, verdict)
        number, url = list(self.cited).index(page.url) + 1, urls.printable(page.url)
        if self.style == "quote" and verdict.quote:
            url = at_quote(url, verdict.quote)
        linked = self.style != "numeric"
        start, end = self._written.mark(f"[[{number}]]({url})" if linked else f"[{number}]")
        self.annotations.append(Annotation(start, end, url, page.title, verdict.support, verdict.quote, page.date))
        if self.unsupported == "flag" and not verdict.holds:
            self._written.say(FLAG)
        return start

    def _listed(self, page: Document, verdict: Verdict) -> Cited:
        """Describe a page by its best passage, or by what was quoted where the model was not given it."""
        given = (source for source in self.sources if source.document.url == page.url)
        best = next((source.passages[0].passage.text for source in given), verdict.quote or "")
        return _cited(page, best)


def cited_all(sources: Sequence[Source]) -> tuple[Cited, ...]:
    """Return every page of the sources once, for an answer without marks."""
    pages = {source.document.url: source for source in reversed(sources)}
    return tuple(_cited(source.document, source.passages[0].passage.text) for source in reversed(pages.values()))


def _cited(page: Document, best: str) -> Cited:
    return Cited(urls.printable(page.url), page.title, page.date, best[:SNIPPET_CHARS])
