"""Cuts a parsed page into blocks: the runs of text between the borders of paragraphs, cells, items and headings. Pure.

A block knows its text, how much of it is links, and the elements around it. What a browser never shows (scripts,
styles, hidden elements) has no blocks. Says nothing about which blocks matter: see `retrieval.main_text`.
"""

from dataclasses import dataclass, field

from lxml import etree
from lxml.etree import _Element

from retrieval.hidden import Hidden

BORDERS = frozenset(
    (
        "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "center", "dd", "details",
        "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4",
        "h5", "h6", "header", "hgroup", "hr", "html", "label", "legend", "li", "main", "menu", "nav", "ol", "option",
        "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    )
)  # fmt: skip
UNSEEN = frozenset(
    (
        "audio", "canvas", "head", "iframe", "noscript", "object", "script", "select", "style", "svg", "template",
        "textarea", "video",
    )
)  # fmt: skip
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))


@dataclass(frozen=True, slots=True)
class Block:
    """One run of text. `around`: the element it stands in, that one's parent and so on up to the root."""

    text: str
    link_share: float
    around: tuple[_Element, ...]

    @property
    def tag(self) -> str:
        """The name of the element the text stands in."""
        return str(self.around[0].tag)


def blocks(tree: _Element) -> list[Block]:
    """Cut a page, in the order of its text."""
    cutter = _Cutter(Hidden(tree))
    for event, element in etree.iterwalk(tree, events=("start", "end", "comment", "pi")):
        cutter.see(event, element)
    return cutter.blocks


@dataclass(slots=True)
class _Cutter:
    """Collects text between borders. `unseen` and `links` count the open elements of the kind."""

    hidden: Hidden
    blocks: list[Block] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    link_chars: int = 0
    around: list[tuple[_Element, ...]] = field(default_factory=list)
    unseen: int = 0
    links: int = 0

    def see(self, event: str, element: _Element) -> None:
        if event == "start":
            self._open(element)
        elif event == "end":
            self._close(element)
        else:
            self._text(element.tail)

    def _open(self, element: _Element) -> None:
        if self.unseen or element.tag in UNSEEN or self.hidden(element):
            self.unseen += 1
            return
        if element.tag in BORDERS:
            self._cut()
            self.around.append((element, *(self.around[-1] if self.around else ())))
        self.links += element.tag == "a"
        self._text(element.text)

    def _close(self, element: _Element) -> None:
        if self.unseen:
            self.unseen -= 1
        else:
            self.links -= element.tag == "a"
            if element.tag in BORDERS:
                self._cut()
                self.around.pop()
        if not self.unseen:
            self._text(element.tail)

    def _text(self, text: str | None) -> None:
        if text and not self.unseen:
            self.pieces.append(text)
            self.link_chars += len(text.strip()) if self.links else 0

    def _cut(self) -> None:
        text = "".join(self.pieces)
        if self.around and not text.isspace() and text:
            kept = _lines(text) if any(element.tag == "pre" for element in self.around[-1]) else " ".join(text.split())
            share = min(1.0, self.link_chars / len(kept))
            self.blocks.append(Block(kept, share, self.around[-1]))
        self.pieces.clear()
        self.link_chars = 0


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines() if line.strip())
