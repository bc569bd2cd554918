"""Scores passages by the words they share with a query: BM25 over stems.

BM25 as in Robertson and Zaragoza, 2009 (Lucene's variant, by bm25s); stems by Snowball (Porter).
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

Scores = NDArray[np.float32]

WORD = re.compile(r"[\w\u0301]+")
IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
CYRILLIC = re.compile(r"[а-яё]")
# A language has a few tens of thousands of words in use; a question meets some thousands of them, again and again.
STEMS_REMEMBERED = 100_000
STEMMERS = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip


def stems(text: str, language: str) -> list[str]:
    """Return the stems of a text. A word is stemmed by its script: Cyrillic as Russian, Latin as `language` says.

    Writing without spaces comes out as overlapping pairs of characters.
    """
    out: list[str] = []
    for word in WORD.findall(text.lower().replace("\u0301", "")):
        if IDEOGRAPHS.search(word):
            out += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        else:
            out.append(stem(word, language))
    return out


@lru_cache(STEMS_REMEMBERED)
def stem(word: str, language: str) -> str:
    """Return the stem of one word in small letters, by its script as above."""
    word = word.replace("ё", "е")
    latin = language if language in STEMMERS and language != "ru" else "en"
    found: str = _stemmer("ru" if CYRILLIC.search(word) else latin).stemWord(word)
    return found


def score(
    queries: Sequence[str], texts: Sequence[str], language: str, known: dict[str, list[str]] | None = None
) -> Scores:
    """Return BM25 scores, shape (len(queries), len(texts)), all >= 0. `known` keeps stems for the next time."""
    known = {} if known is None else known
    scores = np.zeros((len(queries), len(texts)), dtype=np.float32)
    for text in texts:
        if text not in known:
            known[text] = stems(text, language)
    corpus = [known[text] for text in texts]
    if not any(corpus):
        return scores
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    for row, query in enumerate(queries):
        shared = [word for word in stems(query, language) if word in index.vocab_dict]
        if shared:
            scores[row] = index.get_scores(shared)
    return scores


@cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    name = STEMMERS.get(language)
    return Stemmer.Stemmer(name if name in Stemmer.algorithms() else "english")
