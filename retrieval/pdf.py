"""Turns a PDF into text: the lines that pdfium reads, joined into paragraphs by where they stand on the page.

A PDF knows no paragraphs, only glyphs at places. A line goes on in the next one when the next one's first word would
not have found room at its end. What stands at the same height of page after page is kept once. Runs in a cleaning
worker, whose time and memory are bounded; knows nothing of the web.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ctypes import byref
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import dropwhile, pairwise
from statistics import median
from typing import Any

from retrieval.limits import ExtractLimits
from retrieval.types import SkipReason

TYPES = frozenset({"application/pdf", "application/x-pdf"})
MAGIC = b"%PDF-"
# Readers take a PDF whose first bytes are a mail header or a blank line.
MAGIC_WITHIN_BYTES = 1_024
PASSWORD_ERRORS = {4: "needs a password", 5: "uses an unknown protection"}
# Glyphs without a Unicode mapping come out as private or replacement characters.
MAX_UNMAPPED_SHARE = 0.3
UNMAPPED = re.compile("[\ue000-\uf8ff\ufffd\x00-\x08\x0e-\x1f]")

# pdfium marks a word that goes on in the next line by U+FFFE instead of its hyphen.
SOFT_BREAK = "\ufffe"
LINE = re.compile(rf"[^\r\n{SOFT_BREAK}]+{SOFT_BREAK}?")
# A line of dots or underscores is drawing, not text.
SEEN = re.compile(r"[^\W_]|[\ue000-\uf8ff\ufffd]")
RULE = re.compile(r"_{3,}")
BULLET = re.compile(r"[\ue000-\uf8ff](?=\s)")
ITEM = re.compile(r"[•‣▪◦●○■□▶➢✓·*¨–—-]\s|\(?(?:\d{1,3}|[a-zа-я]|[ivx]{1,5})[.)]\s|\d+(?:\.\d+)+\s", re.IGNORECASE)
NUMBER = re.compile(r"[$€£(—–-]*\d[\d.,%)\s]*|[$€£%—–-]+")
DAY = re.compile(r"\b\d{1,2},? (?:19|20)\d\d$")
SENTENCE_END = (".", "!", "?", ":", ";", "…", "。", "！", "？")
IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff00-\uff60]")
WORD = re.compile(r"\w+(?:-\w+)*")
LETTER = re.compile(r"[^\W\d_]")
LETTERS = re.compile(r"[^\W\d_]{2}")
LAST_WORD, FIRST_WORD = re.compile(r"\w+$"), re.compile(r"\w+")

# In heights of a line: how far below the next line of a paragraph may stand, at most, in a text with wide spacing.
LEADING, WIDEST_LEADING = 1.5, 3.0
# A gap so much larger than is usual on the page parts paragraphs.
LARGER_GAP = 1.3
# How many lines around tell how far a column reaches: few, as blocks differ; more where a line ends with its sentence.
NEIGHBOR_LINES, NEIGHBOR_SENTENCES = 3, 8
EDGE_LINES = 3
SAME_HEIGHT_POINTS = 4.0
PAGE_NUMBER_CHARS = 24
NEIGHBOR_PAGES = (-2, -1, 1, 2)

FIRST_YEAR = 1990
DATE = re.compile(r"(?:D:)?(\d{4})-?(\d\d)-?(\d\d)")
FILE_NAME = re.compile(
    r"\.(?:docx?|pdf|indd|qxd|tex|dvi|pptx?|xlsx?|rtf|txt|odt|ods|odp|html?|ai|eps|pmd|fm|ps|cdr)$", re.IGNORECASE
)
PROGRAM_TITLE = re.compile(
    r"microsoft (?:word|powerpoint|excel)\b|powerpoint|print\b|untitled|без имени|без названия|"
    r"(?:document|presentation|layout|slide|книга|документ|презентация|слайд)\s*\d*$",
    re.IGNORECASE,
)
HEADING_SIZE = 1.15
HEADING_LINES = 4


class UnreadablePdf(Exception):
    """The PDF gives no text; `reason` says why."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Line:
    """One visual line. Coordinates in points as the page is shown, upward and to the right."""

    text: str
    left: float
    right: float
    bottom: float
    height: float

    @property
    def broken(self) -> bool:
        """Whether its last word goes on in the next line."""
        return self.text.endswith(SOFT_BREAK)


_Edge = dict[str, _Line]


def is_pdf(body: bytes | bytearray) -> bool:
    """Tell whether bytes are those of a PDF."""
    return MAGIC in body[:MAGIC_WITHIN_BYTES]


def pdf_fields(body: bytes, limits: ExtractLimits) -> dict[str, Any]:
    """Return "text", "title" and "date" (ISO or None) of a PDF. Blocks. Raises UnreadablePdf."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        document = PdfDocument(body)
    except PdfiumError as error:
        if error.err_code in PASSWORD_ERRORS:
            raise UnreadablePdf(SkipReason.BAD_ENCODING, PASSWORD_ERRORS[error.err_code]) from error
        raise UnreadablePdf(SkipReason.WRONG_TYPE, "a broken PDF") from error
    try:
        pages = _pages(document, limits)
        told = {key: _told(document, key) for key in ("Title", "CreationDate", "ModDate")}
    finally:
        document.close()
    text = _text(_without_running_lines(pages))
    _check_mapped(text)
    title = _told_title(told["Title"], text) or _heading(pages)
    return {"text": text, "title": title, "date": _date(told["CreationDate"]) or _date(told["ModDate"])}


def _told(document: Any, key: str) -> str:  # noqa: ANN401  (the package is untyped)
    """Return a value of the metadata; "" where there is none, or half a character in it."""
    try:
        return str(document.get_metadata_value(key))
    except UnicodeDecodeError:
        return ""


def _pages(document: Any, limits: ExtractLimits) -> list[list[_Line]]:  # noqa: ANN401  (the package is untyped)
    """Read page after page until a limit; a page that is broken is an empty one."""
    from pypdfium2 import PdfiumError

    pages: list[list[_Line]] = []
    chars = broken = 0
    deadline = time.monotonic() + limits.pdf_seconds
    for number in range(min(len(document), limits.pdf_pages)):
        try:
            lines = _page(document[number])
        except PdfiumError:
            broken += 1
            lines = []
        pages.append(lines)
        chars += sum(len(line.text) for line in lines)
        if chars > limits.max_chars or time.monotonic() > deadline:
            break
    if pages and broken == len(pages):
        raise UnreadablePdf(SkipReason.WRONG_TYPE, "a PDF with broken pages")
    return pages


def _page(page: Any) -> list[_Line]:  # noqa: ANN401  (the package is untyped)
    textpage = page.get_textpage()
    try:
        text = BULLET.sub("•", textpage.get_text_range())
        rotation = page.get_rotation()
        return [line for match in LINE.finditer(text) if (line := _line(textpage, match, rotation))]
    finally:
        textpage.close()
        page.close()


def _line(textpage: Any, match: re.Match[str], rotation: int) -> _Line | None:  # noqa: ANN401
    """Measure a line by the boxes of its first and last character."""
    text = match[0].strip()
    if not SEEN.search(text):
        return None
    start = match.start() + match[0].index(text)
    last = start + len(text.rstrip(SOFT_BREAK)) - 1
    first_box, last_box = _box(textpage, start, rotation), _box(textpage, last, rotation)
    return _Line(
        text,
        min(first_box[0], last_box[0]),
        max(first_box[2], last_box[2]),
        last_box[1],
        max(first_box[3] - first_box[1], last_box[3] - last_box[1]),
    )


def _box(textpage: Any, place: int, rotation: int) -> tuple[float, float, float, float]:  # noqa: ANN401
    """Return left, bottom, right and top of a character as the page is shown; zeros where there is none."""
    import pypdfium2.raw as pdfium

    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(textpage, pdfium.FPDFText_GetCharIndexFromTextIndex(textpage, place), byref(box))
    if rotation == 90:
        return box.bottom, -box.right, box.top, -box.left
    if rotation == 180:
        return -box.right, -box.top, -box.left, -box.bottom
    if rotation == 270:
        return -box.top, box.left, -box.bottom, box.right
    return box.left, box.bottom, box.right, box.top


def _without_running_lines(pages: Sequence[list[_Line]]) -> list[list[_Line]]:
    """Drop page numbers, and all but the first of the headers and footers that neighboring pages share."""
    edges = [_edges(lines) for lines in pages]
    seen: set[str] = set()
    kept = []
    for number, lines in enumerate(pages):
        near = {step: edges[number + step] for step in NEIGHBOR_PAGES if 0 <= number + step < len(pages)}
        kept.append([line for line in lines if not _runs(line, edges[number], near, seen)])
    return kept


def _edges(lines: Sequence[_Line]) -> _Edge:
    """Map what stands at the top and bottom of a page, with "#" for numbers, to its line."""
    ordered = sorted(lines, key=lambda line: line.bottom)
    outer = ordered if len(ordered) <= 2 * EDGE_LINES else ordered[:EDGE_LINES] + ordered[-EDGE_LINES:]
    return {_pattern(line): line for line in outer}


def _pattern(line: _Line) -> str:
    return re.sub(r"\d+", "#", line.text)


def _runs(line: _Line, edge: _Edge, near: Mapping[int, _Edge], seen: set[str]) -> bool:
    """Tell whether a line is a page number, or a header or footer that was seen before."""
    pattern = _pattern(line)
    if edge.get(pattern) is not line:
        return False
    others = {step: other[pattern] for step, other in near.items() if pattern in other}
    if _counts_pages(line, others):
        return True
    if sum(abs(other.bottom - line.bottom) <= SAME_HEIGHT_POINTS for other in others.values()) < 2:
        return False
    # Figures of a table may stand at one height on many pages.
    first = pattern not in seen or not LETTERS.search(pattern)
    seen.add(pattern)
    return not first


def _counts_pages(line: _Line, others: Mapping[int, _Line]) -> bool:
    """Tell whether the number in a line grows from page to page."""
    numbers = re.findall(r"\d+", line.text)
    if not numbers or len(numbers) > 2 or len(line.text) > PAGE_NUMBER_CHARS:
        return False
    following = [re.search(rf"(?<!\d){int(numbers[0]) + step}(?!\d)", other.text) for step, other in others.items()]
    return sum(match is not None for match in following) >= (2 if LETTERS.search(line.text) else 1)


def _text(pages: Sequence[Sequence[_Line]]) -> str:
    vocabulary = {word.lower() for lines in pages for line in lines for word in WORD.findall(line.text)}
    return "\n\n".join(text for lines in pages if (text := _page_text(lines, vocabulary)))


def _page_text(lines: Sequence[_Line], vocabulary: set[str]) -> str:
    if not lines:
        return ""
    gap = _usual_gap(lines)
    text = lines[0].text
    for i, line in enumerate(lines[1:], start=1):
        before = lines[i - 1]
        if _continues(before, line, _right_edge(lines, i - 1), gap):
            text = _joined(text, line.text, vocabulary)
        else:
            far = before.bottom - line.bottom > LARGER_GAP * gap
            text = text.rstrip(SOFT_BREAK) + ("\n\n" if far else "\n") + line.text
    return text.rstrip(SOFT_BREAK)


def _usual_gap(lines: Sequence[_Line]) -> float:
    gaps = [a.bottom - b.bottom for a, b in pairwise(lines) if a.bottom - b.bottom > a.height / 2]
    return median(gaps) if gaps else 0.0


def _right_edge(lines: Sequence[_Line], i: int) -> float:
    """Return how far the lines around a line reach, in its own column and letter size."""
    edge = lines[i].right
    reach = NEIGHBOR_SENTENCES if lines[i].text.endswith(SENTENCE_END) else NEIGHBOR_LINES
    for step in (-1, 1):
        for k in range(1, reach + 1):
            j = i + step * k
            if not 0 <= j < len(lines) or not _alike(lines[i], lines[j]) or _rises(lines[j - step], lines[j], step):
                break
            edge = max(edge, lines[j].right)
    return edge


def _rises(line: _Line, next_line: _Line, step: int) -> bool:
    """Tell whether reading goes up between two lines: a new column begins."""
    return (next_line.bottom - line.bottom) * step > line.height / 2


def _alike(a: _Line, b: _Line) -> bool:
    return abs(a.height - b.height) <= 0.15 * max(a.height, b.height)


def _continues(a: _Line, b: _Line, edge: float, gap: float) -> bool:
    """Tell whether line b goes on with what line a says."""
    if a.broken:
        return True
    below = a.bottom - b.bottom
    if abs(below) < a.height / 3:
        return b.left >= a.right - a.height / 2  # another cell of one row
    if _is_row(a.text) or _is_row(b.text) or ITEM.match(b.text) or not _alike(a, b):
        return False
    full = _width_of_first_word(b) + a.right > edge
    if below < 0:  # the next column
        return full and not a.text.endswith(SENTENCE_END) and b.text[0].islower()
    near = below <= max(LEADING * a.height, min(LARGER_GAP * gap, WIDEST_LEADING * a.height))
    return full and near and _aligned(a, b)


def _aligned(a: _Line, b: _Line) -> bool:
    """Tell whether b stands under a and is no new paragraph with an indent."""
    if b.left >= a.right or a.left >= b.right:
        return False
    return b.left - a.left < a.height or ITEM.match(a.text) is not None


def _is_row(text: str) -> bool:
    """Tell whether a line is a row of figures."""
    cells = text.split()
    words = sum(1 for _ in dropwhile(NUMBER.fullmatch, reversed(cells)))
    return len(cells) - words >= 2 and not DAY.search(text)


def _width_of_first_word(line: _Line) -> float:
    word = line.text.split(maxsplit=1)[0]
    return (line.right - line.left) / len(line.text) * (len(word) + 1)


def _joined(text: str, following: str, vocabulary: set[str]) -> str:
    broken = text.endswith((SOFT_BREAK, "-", "\u00ad", "\u2010"))
    if not broken:
        apart = not (IDEOGRAPH.match(text[-1]) and IDEOGRAPH.match(following[0]))
        return text + (" " if apart else "") + following
    head, tail = LAST_WORD.search(text[:-1]), FIRST_WORD.match(following)
    if head is None or tail is None:
        return text.rstrip(SOFT_BREAK) + ("" if text.endswith(SOFT_BREAK) else " ") + following
    return text[:-1] + _hyphen(head[0], tail[0], vocabulary) + following


def _hyphen(head: str, tail: str, vocabulary: set[str]) -> str:
    """Keep the hyphen of a compound: one with a name or a figure, or one that stands elsewhere within a line."""
    if head[-1].isdigit() or not tail[0].islower() or f"{head}-{tail}".lower() in vocabulary:
        return "-"
    return ""


def _check_mapped(text: str) -> None:
    if text and len(UNMAPPED.findall(text)) > MAX_UNMAPPED_SHARE * len(text):
        raise UnreadablePdf(SkipReason.BAD_ENCODING, "its fonts do not say which letters they draw")


def _told_title(title: str, text: str) -> str | None:
    """Return the title of the metadata unless a program made it up."""
    title = " ".join(title.replace("\x00", " ").split())
    if re.search(r"[А-я]{3}", text) and len(re.findall(r"[\u00c0-\u00ff]", title)) * 2 > len(title):
        title = title.encode("cp1252", "replace").decode("cp1251", "replace")
    one_word = " " not in title
    if len(LETTER.findall(title)) < 3 or FILE_NAME.search(title) or PROGRAM_TITLE.match(title):
        return None
    return None if one_word and re.search(r"[\d_/\\]", title) else title


def _heading(pages: Iterable[Sequence[_Line]]) -> str:
    """Return the first page's largest lines if they stand out, else its first line of words."""
    first = next((page for page in pages if page), ())
    bare = (replace(line, text=RULE.sub(" ", line.text).strip()) for line in first)
    lines = [line for line in bare if _is_wordy(line.text)]
    if not lines:
        return ""
    largest = max(lines, key=lambda line: line.height)
    if largest.height < HEADING_SIZE * median(line.height for line in lines):
        return lines[0].text
    start = lines.index(largest)
    return " ".join(_same_height(lines[start : start + HEADING_LINES])).replace(SOFT_BREAK, "")


def _is_wordy(text: str) -> bool:
    return LETTERS.search(text) is not None and len(LETTER.findall(text)) * 2 > len(text)


def _same_height(lines: Sequence[_Line]) -> Iterator[str]:
    for line in lines:
        if not _alike(lines[0], line):
            return
        yield line.text


def _date(told: str) -> str | None:
    match = DATE.match(told.strip())
    if match is None:
        return None
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    return day.isoformat() if day.year >= FIRST_YEAR and day <= datetime.now(UTC).date() else None
