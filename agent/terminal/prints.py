"""The ways to show an answer, and which of them suits where it goes."""

from typing import Any, Protocol, TextIO

from agent.terminal.json_printer import JsonPrinter
from agent.terminal.paper import Paper
from agent.terminal.printer import Printer
from agent.terminal.telling import Telling


class Prints(Protocol):
    """What an answer is shown by. Chunks are those of a watched stream; `run_id` in one names the run."""

    def take(self, chunk: dict[str, Any]) -> None:
        """Show what one chunk says."""

    def end(self) -> None:
        """Show what comes after the answer."""

    def fail(self, message: str) -> None:
        """Show why there is no answer, or no more of it."""

    def close(self) -> None:
        """Leave the terminal as it was, whatever ended the answer."""


def people_printer(out: TextIO, err: TextIO, *, quiet: bool = False) -> Printer:
    """Show an answer to people.

    What is told before it goes to the terminal that shows the answer, else to that of the errors, else nowhere.
    """
    paper, errors = Paper(out), Paper(err)
    return Printer(paper, _telling(paper if paper.is_terminal else errors, quiet=quiet), errors)


def json_printer(question: str, out: TextIO, err: TextIO, *, quiet: bool = False) -> JsonPrinter:
    """Show an answer to programs; what is told before it goes to the terminal of the errors, else nowhere."""
    return JsonPrinter(question, out, _telling(Paper(err), quiet=quiet))


def _telling(paper: Paper, *, quiet: bool) -> Telling:
    return Telling(paper if paper.is_terminal and not quiet else None)
