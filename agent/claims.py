"""Finds what each citation mark of an answer vouches for. Pure.

A mark stands behind what it vouches for, in its sentence or after it: from the mark before it, or from the sentence's
beginning. Where that is next to nothing, as for a mark that opens a sentence, it vouches for the whole sentence.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from agent.types import Annotation

# Possessive, so that a long run of dots or blank lines costs no more than its length.
SENTENCE_END = re.compile(r"(?<![.!?…。！？؟।])[.!?…。！？؟।]++[\"'»”’)\]*_]*+(?=\s|\Z)|\n+")
# What Markdown puts around words, and at the beginning of a line; underscores are more often part of a name.
MARKUP = re.compile(r"[*`|]+|^[^\S\n]*+(?:[-+•>#]++|\d++[.)])[^\S\n]+", re.MULTILINE)
WORD = re.compile(r"\w+")
# Fewer words are no claim.
LEAST_WORDS = 3
# A sentence that does not end is cut so far from its mark.
MOST_CHARS = 600


def claims(text: str, marks: Sequence[Annotation]) -> list[str]:
    """Return the claim of each mark of an answer, without marks and Markdown; marks are in the order of the text."""
    plain, places = _without(text, marks)
    ends = [found.end() for found in SENTENCE_END.finditer(plain)]
    out: list[str] = []
    for number, place in enumerate(places):
        start, end = _sentence(plain, ends, place)
        before = max((other for other in places[:number] if start < other < place), default=start)
        nearest = max(start, place - MOST_CHARS)
        part = _bare(plain[max(before, nearest) : place])
        whole = plain[nearest : min(end, place + MOST_CHARS)]
        out.append(part if len(WORD.findall(part)) >= LEAST_WORDS else _bare(whole))
    return out


def _without(text: str, marks: Sequence[Annotation]) -> tuple[str, list[int]]:
    """Take the marks out; return what is left and the place in it of each."""
    starts = [0, *(mark.end for mark in marks)]
    pieces = [text[start:end] for start, end in zip(starts, [*(mark.start for mark in marks), len(text)], strict=True)]
    return "".join(pieces), list(accumulate(map(len, pieces[:-1])))


def _sentence(plain: str, ends: Sequence[int], place: int) -> tuple[int, int]:
    """Return the sentence that a place is in, or behind: then nothing but space is between its end and the place."""
    index = bisect_right(ends, place)
    opens_line = (
        index > 0 and plain[ends[index - 1] - 1] == "\n" and _bare(plain[place:].partition("\n")[0][:MOST_CHARS])
    )
    if index and not opens_line and not _bare(plain[ends[index - 1] : place]):
        index -= 1
    while index and not _bare(plain[ends[index - 1] : ends[index] if index < len(ends) else len(plain)]):
        index -= 1
    return ends[index - 1] if index else 0, ends[index] if index < len(ends) else len(plain)


def _bare(text: str) -> str:
    return " ".join(MARKUP.sub("", text).split())
