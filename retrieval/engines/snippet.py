"""Cuts out of a text the stretch that holds the weightiest words of a query. Pure."""

import re
from itertools import islice, takewhile

SNIPPET_CHARS = 200
LEAD_CHARS = 60
MATCHES = 500


def snippet(text: str, weights: dict[str, float]) -> str:
    """Return the stretch of a text that holds the weightiest words, on one line. `weights` is by stem."""
    found = [(match.start(), _plain(match[0])) for match in islice(_pattern(weights).finditer(text), MATCHES)]
    best, place = 0.0, 0
    for i, (start, _) in enumerate(found):
        end = start + SNIPPET_CHARS - LEAD_CHARS
        inside = {word for _, word in takewhile(lambda row: row[0] < end, islice(found, i, None))}  # noqa: B023
        weight = sum(weights.get(word, 0.0) for word in inside)
        if weight > best:
            best, place = weight, start
    return " ".join(text[_opening(text, place) :][:SNIPPET_CHARS].split())


def _opening(text: str, place: int) -> int:
    """Return where the line, the sentence, or at least a word not far before a place begins."""
    earliest = max(0, place - LEAD_CHARS)
    if earliest == 0:
        return 0
    ends = (text.rfind("\n", earliest, place), text.rfind(". ", earliest, place), text.find(" ", earliest, place))
    return next((end + 1 for end in ends if end >= 0), place)


def _pattern(weights: dict[str, float]) -> re.Pattern[str]:
    """Match the beginnings of words that share a stem with the query; stems have no ё."""
    longest_first = sorted(weights, key=len, reverse=True)
    stems = "|".join(re.escape(stem).replace("е", "[её]") for stem in longest_first)
    return re.compile(rf"\b(?:{stems or '$.'})", re.IGNORECASE)


def _plain(word: str) -> str:
    return word.lower().replace("ё", "е")
