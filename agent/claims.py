"""Finds what a citation mark of an answer vouches for, as soon as enough of the answer is there to tell. Pure.

A mark stands behind what it vouches for, in its sentence or after it: from the mark before it, or from the sentence's
beginning. Where that is next to nothing, as for a mark that opens a sentence, it vouches for the whole sentence.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

# Possessive, so that a long run of dots or blank lines costs no more than its length.
SENTENCE_END = re.compile(r"(?<![.!?…。！？؟।])[.!?…。！？؟।]++[\"'»”’)\]*_]*+(?=\s|\Z)|\n+")
QUESTION_ENDS = ("?", "？", "؟")
# What Markdown puts around words, and at the beginning of a line; underscores are more often part of a name. That
# something is code tells what it is.
MARKUP = re.compile(r"[*|]+|^[^\S\n]*+(?:[-+•>#]++|\d++[.)])[^\S\n]+", re.MULTILINE)
WORD = re.compile(r"\w+")
# Fewer words are no claim.
LEAST_WORDS = 3
# A sentence that does not end is cut so far from its mark, on both sides.
MOST_CHARS = 600
# Of the text before a mark its sentence is looked for in so much: the mark may stand behind it, after some space.
BEFORE_CHARS = 2 * MOST_CHARS


def claim(before: str, after: str, since: int, *, final: bool) -> str | None:
    """Return what a mark between two texts vouches for; None where more text must come to tell.

    Of Markdown only the marks of code stay.
    The texts are those around it without marks; at `since` in `before` stands the mark before it, if there is one.
    `final`: no more will come.
    """
    since -= max(0, len(before) - BEFORE_CHARS)
    before, final, after = before[-BEFORE_CHARS:], final or len(after) >= MOST_CHARS, after[:MOST_CHARS]
    plain, place = before + after, len(before)
    ends = [found.end() for found in SENTENCE_END.finditer(plain)]
    line = _bare(after.partition("\n")[0])
    if not final and not line and "\n" not in after and _opens_line(plain, ends, place):
        return None
    start, end = _sentence(plain, ends, place, opens=bool(line) and _opens_line(plain, ends, place))
    part = _bare(plain[max(start, since, place - MOST_CHARS) : place])
    if len(WORD.findall(part)) >= LEAST_WORDS:
        return part
    if not final and end == len(plain):
        return None
    return _bare(plain[max(start, place - MOST_CHARS) : end])


def unmarked(before: str, since: int) -> str | None:
    """Return the sentence that ends a text; None where it has a mark, the last one being at `since`.

    Of Markdown only the marks of code stay.
    Also None where the text ends in no sentence, in a heading, in code, in a row of a table, in a question, or in a
    sentence of too few words to claim something.
    """
    since -= max(0, len(before) - BEFORE_CHARS)
    plain = before[-BEFORE_CHARS:]
    ends = [found.end() for found in SENTENCE_END.finditer(plain)]
    if not ends or _bare(plain[ends[-1] :]):
        return None
    start, end = _sentence(plain, ends, len(plain), opens=False)
    said = _bare(plain[start:end])
    opens = since == start and plain[:since].endswith("\n")
    marked = opens or (since > start and _bare(plain[start:since]))
    line = plain[plain.rfind("\n", 0, max(0, end - 1)) + 1 : end]
    no_place = line.lstrip().startswith(("#", "|")) or line.count("`") % 2 or said.endswith(QUESTION_ENDS)
    return None if marked or no_place or len(WORD.findall(said)) < LEAST_WORDS else said


def sentences(text: str) -> list[str]:
    """Return the sentences of a text that say something; of Markdown only the marks of code stay."""
    ends = [found.end() for found in SENTENCE_END.finditer(text)]
    parts = (_bare(text[start:end]) for start, end in pairwise([0, *ends, len(text)]))
    return [part for part in parts if len(WORD.findall(part)) >= LEAST_WORDS]


def _opens_line(plain: str, ends: Sequence[int], place: int) -> bool:
    """Tell whether nothing but space and Markdown stands between a line's beginning and a place."""
    index = bisect_right(ends, place)
    return index > 0 and plain[ends[index - 1] - 1] == "\n" and not _bare(plain[ends[index - 1] : place])


def _sentence(plain: str, ends: Sequence[int], place: int, *, opens: bool) -> tuple[int, int]:
    """Return the sentence that a place is in, or behind: then nothing but space is between its end and the place."""
    index = bisect_right(ends, place)
    if index and not opens and not _bare(plain[ends[index - 1] : place]):
        index -= 1
    while index and not _bare(plain[ends[index - 1] : ends[index] if index < len(ends) else len(plain)]):
        index -= 1
    return ends[index - 1] if index else 0, ends[index] if index < len(ends) else len(plain)


def _bare(text: str) -> str:
    return " ".join(MARKUP.sub("", text).split())
