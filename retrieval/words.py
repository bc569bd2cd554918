"""Scores passages by the words they share with a query: BM25 over stems.

BM25 as in Robertson and Zaragoza, 2009, in Lucene's variant; stems by Snowball (Porter). A query has few words: only
those are counted, a fifteenth of the work of an index of all words.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, repeat

import numpy as np
import Stemmer
from numpy.typing import NDArray

Scores = NDArray[np.float32]

WORD = re.compile(r"[\w\u0301]+")
IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
CYRILLIC = re.compile(r"[а-яё]")
# A language has a few tens of thousands of words in use; a question meets some thousands of them, again and again.
STEMS_REMEMBERED = 100_000
# BM25's k1 and b: how soon one more occurrence adds nothing, and how much of a text's length counts against it.
SATURATION, LENGTH_SHARE = 1.5, 0.75
STEMMERS = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """How often each stem stands in a text of `length` words."""

    counts: Mapping[str, int]
    length: int

    @classmethod
    def of(cls, text: str, language: str) -> "Terms":
        """Count the stems of a text."""
        found = stems(text, language)
        # A plain dictionary: of one with words and numbers alone the garbage collector need not take notice.
        return cls(dict(Counter(found)), len(found))


def stems(text: str, language: str) -> list[str]:
    """Return the stems of a text. A word is stemmed by its script: Cyrillic as Russian, Latin as `language` says.

    Writing without spaces comes out as overlapping pairs of characters.
    """
    found = WORD.findall(text.lower().replace("\u0301", ""))
    return list(chain.from_iterable(map(_of_word, found, repeat(language))))


@lru_cache(STEMS_REMEMBERED)
def _of_word(word: str, language: str) -> tuple[str, ...]:
    """Return what one word in small letters comes out as."""
    if IDEOGRAPHS.search(word):
        return tuple(word[i : i + 2] for i in range(max(1, len(word) - 1)))
    return (stem.__wrapped__(word, language),)


@lru_cache(STEMS_REMEMBERED)
def stem(word: str, language: str) -> str:
    """Return the stem of one word in small letters, by its script as above."""
    word = word.replace("ё", "е")
    latin = language if language in STEMMERS and language != "ru" else "en"
    found: str = _stemmer("ru" if CYRILLIC.search(word) else latin).stemWord(word)
    return found


def score(queries: Sequence[str], texts: Sequence[str], language: str, known: dict[str, Terms] | None = None) -> Scores:
    """Return BM25 scores, shape (len(queries), len(texts)), all >= 0. `known` keeps terms for the next time."""
    known = {} if known is None else known
    for text in texts:
        if text not in known:
            known[text] = Terms.of(text, language)
    rows = [known[text] for text in texts]
    scores = np.zeros((len(queries), len(texts)), dtype=np.float32)
    lengths = np.array([row.length for row in rows], dtype=np.float32)
    if not lengths.any():
        return scores
    damped = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths / lengths.mean())
    for place, query in enumerate(queries):
        for asked, times in Counter(stems(query, language)).items():
            scores[place] += times * _weights(asked, rows, damped)
    return scores


def _weights(asked: str, rows: Sequence[Terms], damped: Scores) -> Scores:
    """Return what one stem of a query adds to the score of each text."""
    counts = np.fromiter((row.counts.get(asked, 0) for row in rows), np.float32, len(rows))
    found = np.count_nonzero(counts)
    worth = math.log(1 + (len(rows) - found + 0.5) / (found + 0.5))
    weights: Scores = worth * counts / (counts + damped)
    return weights


@cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    name = STEMMERS.get(language)
    return Stemmer.Stemmer(name if name in Stemmer.algorithms() else "english")
