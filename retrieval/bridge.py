"""Finds the names in the first results that the question does not hold. Pure.

A question of several hops names one end of its chain; the next link stands in the titles and snippets of what its first
query finds (as in multi-hop dense retrieval: Xiong et al., ICLR 2021; here without a model). Names are titles, and runs
of capitalized words in snippets, so writing without capitals has titles alone.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from retrieval.types import Hit
from retrieval.words import stems

# Names are taken from the first HITS; how rare a word is shows in the first COMPARED.
HITS, COMPARED = 6, 20
NAME_CHARS = 60
SNIPPET_CHARS = 300
# A date is no link to follow.
DATE_WORDS = (
    "January February March April May June July August September October November December Jan Feb Mar Apr Jun Jul Aug "
    "Sep Sept Oct Nov Dec Monday Tuesday Wednesday Thursday Friday Saturday Sunday января февраля марта апреля мая "
    "июня июля августа сентября октября ноября декабря"
)

# Latin, Greek, Cyrillic and Armenian.
CAPITALS = "".join(letter for letter in map(chr, range(0x590)) if letter.isupper())
CAPITALIZED = rf"[{CAPITALS}][\w'’.-]*\w"
LINK = r"(?:of|the|and|de|la|le|du|des|van|von|der|den|di|da|del|al|bin|и|де|ла|фон|ван|дер|аль|ибн)"
NAME = re.compile(rf"\b{CAPITALIZED}(?:\s+(?:{LINK}\s+){{0,2}}{CAPITALIZED}|\s+\d{{1,4}}\b)*")
SENTENCE_START = re.compile(r"(?:^|[.!?…:;»”\"(]\s*|\s[-–—]\s)$")
WORD = re.compile(r"\w+")
PATH = re.compile(r"^/|\.html?$", re.IGNORECASE)
TITLE_PARTS = re.compile(r"\s+[|–—·»-]\s+|\s*[|»]\s*|: ")


def bridges(question: str, hits: Sequence[Hit], count: int, language: str) -> tuple[str, ...]:
    """Return up to `count` names, the likeliest next links first."""
    asked = set(stems(question, language))
    dates = set(stems(DATE_WORDS, language))
    points: dict[tuple[str, ...], float] = defaultdict(float)
    written: dict[tuple[str, ...], str] = {}
    common = _common_words(hits)
    for rank, (hit, nearness) in enumerate(_near(asked, hits, language), 1):
        named: dict[tuple[str, ...], str] = {}
        for name in (name for name in _names(hit) if name.lower() not in common):
            named.setdefault(tuple(stems(name, language)), name)
        for key, name in named.items():
            if any(not word.isdigit() and word not in dates for word in set(key) - asked):
                written.setdefault(key, name)
                points[key] += nearness / rank
    best = sorted(points, key=lambda key: -points[key])
    return tuple(written[key] for key in best[:count])


def _near(asked: set[str], hits: Sequence[Hit], language: str) -> list[tuple[Hit, float]]:
    """Return the first hits, each with what it shares with the question: words that few hits have count most."""
    held = [set(stems(f"{hit.title} {hit.snippet}", language)) for hit in hits[:COMPARED]]
    having = Counter(word for words in held for word in words)
    # Sets have no order, so that a plain sum would not be the same in every process.
    nearness = [math.fsum(1 / having[word] for word in words & asked) for words in held]
    return list(zip(hits[:HITS], nearness, strict=False))


def _common_words(hits: Sequence[Hit]) -> set[str]:
    """Return the words that are written small somewhere: capitalized they only start a line or stress a word."""
    texts = (f"{hit.title} {hit.snippet}" for hit in hits[:COMPARED])
    return {word for text in texts for word in WORD.findall(text) if word.islower()}


def _names(hit: Hit) -> list[str]:
    """Return the head of a hit's title, and the names in its snippet.

    One word that starts a sentence is no name: it would be capitalized anyway. Nor is the address that stands for a
    title.
    """
    head = TITLE_PARTS.split(hit.title.strip())[0]
    text = hit.snippet[:SNIPPET_CHARS]
    inside = [
        match[0] for match in NAME.finditer(text) if " " in match[0] or not SENTENCE_START.search(text[: match.start()])
    ]
    return [name for name in (*([] if PATH.search(head) else [head]), *inside) if 0 < len(name) <= NAME_CHARS]
