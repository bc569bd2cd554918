"""Cuts documents into passages on paragraph and sentence borders, with offsets into the text. Pure."""

import re

from retrieval.limits import ChunkLimits
from retrieval.types import Document, Passage

PARAGRAPH = re.compile(r"[^\n]+(?:\n|\Z)+")
# Sentence enders of Latin, Cyrillic, CJK, Arabic and Devanagari writing, with closing quotes and brackets.
SENTENCE = re.compile(r".+?(?:[.!?…](?=[\"'»”’)\]]*\s)[\"'»”’)\]]*\s+|[。！？؟।]+|\Z)", re.DOTALL)

Span = tuple[int, int]


def chunk(document: Document, limits: ChunkLimits) -> tuple[Passage, ...]:
    """Cut a document into passages of about `target_chars`, none above `max_chars`, that cover its text."""
    spans = [span for paragraph in _paragraphs(document.text) for span in _pieces(document.text, paragraph, limits)]
    trimmed = (_trimmed(document.text, span) for span in _joined(spans, limits))
    return tuple(Passage(document, start, end) for start, end in trimmed if end > start)


def _paragraphs(text: str) -> list[Span]:
    return [match.span() for match in PARAGRAPH.finditer(text)]


def _pieces(text: str, span: Span, limits: ChunkLimits) -> list[Span]:
    """Keep a short paragraph whole; cut a long one into sentences, and an endless sentence by length."""
    start, end = span
    if end - start <= limits.target_chars:
        return [span]
    sentences = [match.span() for match in SENTENCE.finditer(text, start, end) if match.end() > match.start()]
    return [piece for sentence in sentences for piece in _sliced(text, sentence, limits.target_chars)]


def _sliced(text: str, span: Span, size: int) -> list[Span]:
    """Cut a span into slices of at most `size`, at a space where there is one in the last third."""
    start, end = span
    slices = []
    while end - start > size:
        space = text.rfind(" ", start + size * 2 // 3, start + size)
        cut = space + 1 if space > 0 else start + size
        slices.append((start, cut))
        start = cut
    return [*slices, (start, end)]


def _joined(spans: list[Span], limits: ChunkLimits) -> list[Span]:
    """Join neighbors until a passage reaches the target."""
    joined: list[Span] = []
    for start, end in spans:
        last = joined[-1] if joined else None
        if last and last[1] - last[0] < limits.target_chars and end - last[0] <= limits.max_chars:
            joined[-1] = (last[0], end)
        else:
            joined.append((start, end))
    return joined


def _trimmed(text: str, span: Span) -> Span:
    start, end = span
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace():
        start += 1
    return start, end
