"""Prints an answer for people as it comes, then its sources with their proofs, then what was read."""

from typing import Any

from agent.terminal.marks import ShortMarks
from agent.terminal.paper import BOLD, DIM, Paper, one_line
from agent.terminal.reply import Reply
from agent.terminal.telling import Telling
from agent.wire.coverage_record import coverage_line

MOST_QUOTES = 3


class Printer:
    """Prints on a paper; what is told before the answer is for `telling`, errors are for another paper."""

    def __init__(self, paper: Paper, telling: Telling, errors: Paper) -> None:
        self.paper = paper
        self._telling, self._errors = telling, errors
        self._reply, self._marks = Reply(), ShortMarks()
        self._answering = False

    def take(self, chunk: dict[str, Any]) -> None:
        """Print what one chunk says."""
        self._reply.take(chunk)
        self._telling.take(chunk)
        for choice in chunk["choices"]:
            self._text(choice["delta"].get("content") or "")

    def end(self) -> None:
        """Print the numbered sources and the coverage."""
        self.close()
        self._space()
        for number, source in enumerate(self._reply.sources, 1):
            self._source(number, source)
        if self._reply.coverage:
            if self._reply.sources:
                self._space()
            self.paper.line(f"Pages: {coverage_line(self._reply.coverage)}.", DIM)

    def fail(self, message: str) -> None:
        """Say on the paper for errors what went wrong."""
        self.close()
        self._errors.line(f"Error: {message}")

    def close(self) -> None:
        """End what has begun: the live count, a line."""
        self._telling.stop()
        self.paper.put(self._marks.flush())
        self.paper.end_line()

    def _text(self, text: str) -> None:
        if text and not self._answering:
            self._answering = True
            self._telling.stop()
            self._space()
        if self.paper.is_rich:
            self._short(text)
        else:
            self.paper.put(text)

    def _short(self, text: str) -> None:
        for piece, url in self._marks.feed(text):
            if url:
                self.paper.link(piece, url, DIM)
            else:
                self.paper.put(piece)

    def _space(self) -> None:
        """Leave a line free, where people look on."""
        if self.paper.is_terminal:
            self.paper.line()

    def _source(self, number: int, source: dict[str, Any]) -> None:
        title, url = one_line(source["title"]), one_line(source["url"])
        self.paper.put(f"[{number}] ")
        self.paper.link(title, source["url"], BOLD)
        self.paper.put(" - ")
        self.paper.link(url, source["url"], DIM)
        self.paper.put(f" ({one_line(source['date'])})\n" if source["date"] else "\n")
        for quote, address in list(self._reply.quotes(source["url"]).items())[:MOST_QUOTES]:
            self.paper.put("    ")
            self.paper.link(f"“{one_line(quote)}”", address)
            self.paper.put("\n")
