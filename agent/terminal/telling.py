"""What is told before an answer comes: which queries are asked, what becomes of the pages, what the model thinks."""

import time
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from agent.terminal.paper import DIM, Paper, one_line

TITLES = 3
# Enough for a spinner to turn; a remote terminal is not flooded.
REFRESHES_PER_SECOND = 8


class Telling:
    """Shows progress and thoughts on a paper; without one it shows nothing.

    A terminal keeps the lines of progress, with a live count of the pages below them until something else is said.
    """

    def __init__(self, paper: Paper | None) -> None:
        self._paper = paper
        self._pages = Pages()
        self._live: Live | None = None

    def take(self, chunk: dict[str, Any]) -> None:
        """Show what a chunk tells besides the answer."""
        if self._paper is None:
            return
        if step := chunk.get("wellread"):
            self._pages.take(step)
            self._step(self._paper, step)
        for choice in chunk["choices"]:
            self._thought(self._paper, choice["delta"].get("reasoning") or "")

    def stop(self) -> None:
        """Clear the live count, and end a line that has begun."""
        if self._live:
            self._live.stop()
            self._live = None
        if self._paper:
            self._paper.end_line()

    def _step(self, paper: Paper, step: dict[str, Any]) -> None:
        # Where pages are counted live, lines that count them are not needed.
        if "line" in step and not (paper.is_rich and "page" in step):
            paper.line(one_line(step["line"]), DIM)
        if paper.is_rich and self._live is None:
            paper.end_line()
            self._live = _live(self._pages, paper.console)

    def _thought(self, paper: Paper, text: str) -> None:
        if not text:
            return
        if self._live:
            self.stop()
        paper.put(text, DIM)


class Pages:
    """The count of pages, and the last of them, as a few lines that fit any width."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._found: set[str] = set()
        self._read = self._skipped = 0
        self._last: tuple[str, ...] = ()
        self._spinner = Spinner("dots")

    def take(self, step: dict[str, Any]) -> None:
        """Count what a step tells."""
        self._found.update(step.get("found", ()))
        if page := step.get("page"):
            self._read += not page["reason"]
            self._skipped += bool(page["reason"])
            self._last = (*self._last, _named(page))[-TITLES:]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = time.monotonic()
        frame = self._spinner.render(now)
        counts = f" {len(self._found)} found · {self._read} read · {self._skipped} skipped · {now - self._began:.0f} s"
        yield _cut(Text.assemble(frame if isinstance(frame, Text) else "", counts))
        for line in self._last:
            yield _cut(Text(f"  {line}", "dim"))


def _named(page: dict[str, Any]) -> str:
    """Name a page by its title, with why it was not read."""
    name = page["title"] or page["url"]
    return one_line(f"✗ {name} ({page['reason'].replace('_', ' ')})" if page["reason"] else f"✓ {name}")


def _cut(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _live(pages: Pages, console: Console) -> Live:
    """Begin to show a count that vanishes in the end."""
    live = Live(
        pages,
        console=console,
        transient=True,
        refresh_per_second=REFRESHES_PER_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start(refresh=True)
    return live
