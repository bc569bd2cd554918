"""Tells how well a page supports a claim in another language, whose words are others: by vectors, numbers and names.

A claim is held against the page's sentences by the cosines of their vectors, and against the nearest one and those
beside it by its numbers, by its names as they sound and by whether it denies something. Logistic regression joins these
to one figure; its weights were fitted on pairs of claims and pages (`across_weights`). Blocks for some milliseconds a
sentence of a page that was not asked for before: call it in a thread.
"""

import logging
import math
import re
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Final

import numpy as np
from anyascii import anyascii

from agent.across_weights import INTERCEPT, PROVEN, REJECTED, WEIGHTS
from agent.said import Said, is_month, said
from agent.support import PageText, Support, missing
from retrieval.errors import EmbedderUnavailable
from retrieval.rank import Embedder, Vectors, embedded

log = logging.getLogger(__name__)

# Of a page those sentences are looked at that stand in its best passages, and so much of each.
SENTENCES_OF_PAGE: Final = 40
SENTENCE_CHARS: Final = 300
NAMES_REMEMBERED: Final = 100_000
# What is written in several ways for one sound, and what is not written in all languages.
SOUNDS: Final = {"sh": "s", "ch": "k", "kh": "", "ph": "f", "th": "t", "ts": "k", "x": "ks"}
SOUND: Final = re.compile("|".join(SOUNDS))
LIKE: Final = str.maketrans("cqwzg", "kkvsj", "aeiouyh'")
DOUBLED: Final = re.compile(r"(.)\1+")
# A shorter one is like too many others.
LEAST_SOUNDS: Final = 2


class Across:
    """Judges claims in `language`, a two-letter code, by pages in others. `embedder`: one that knows both languages."""

    def __init__(self, embedder: Embedder, language: str) -> None:
        self._embedder, self.language = embedder, language
        self._vectors: dict[str, Vectors] = {}

    def support(self, claim: str, page: PageText) -> Support | None:
        """Tell how well a page supports a claim; None where that cannot be told, or not clearly."""
        if not page.ranked:
            return None
        try:
            nearest, features = self.features(claim, page)
        except EmbedderUnavailable as error:
            log.warning("a citation of a page in another language was not checked: %s", error)
            return None
        score = 1 / (1 + math.exp(-INTERCEPT - sum(WEIGHTS[name] * value for name, value in features.items())))
        return None if REJECTED <= score < PROVEN else Support(page.document, score, nearest.start, nearest.end)

    def features(self, claim: str, page: PageText) -> tuple[Said, dict[str, float]]:
        """Return the sentence of a page that is nearest to a claim, and what the figure is made of.

        The page has some sentence. Raises EmbedderUnavailable.
        """
        sentences = sorted(page.ranked[:SENTENCES_OF_PAGE], key=lambda sentence: sentence.start)
        asked = said(claim, self.language)
        cosines = self._embedded(page, sentences) @ embedded((claim,), "query", self._embedder)[0]
        place = int(np.argmax(cosines))
        nearest, near = sentences[place], sentences[max(0, place - 1) : place + 2]
        length = len(page.document.text[nearest.start : nearest.end].strip())
        terms = {term for sentence in (page.title, *near) for term in sentence.terms}
        return nearest, {
            "cosine": float(cosines[place]),
            "above the page's mean": float(cosines[place] - cosines.mean()),
            "numbers not on page": missing(asked.numbers, page.whole.numbers),
            "names missing": _unheard(asked.names, terms),
            "negative alone": float(asked.negative and not any(sentence.negative for sentence in near)),
            "negated otherwise": float(asked.negative != nearest.negative),
            "length": math.log(1 + len(asked.terms)),
            "longer than the sentence": math.log(1 + len(claim) / length),
        }

    def _embedded(self, page: PageText, sentences: Sequence[Said]) -> Vectors:
        """Return the vectors of a page's sentences, in their order; they are kept."""
        text = page.document.text
        written = [text[sentence.start : sentence.end].strip()[:SENTENCE_CHARS] for sentence in sentences]
        new = tuple(dict.fromkeys(each for each in written if each not in self._vectors))
        if new:
            self._vectors.update(zip(new, embedded(new, "query", self._embedder), strict=True))
        return np.stack([self._vectors[each] for each in written])


def _unheard(names: Set[str], terms: Set[str]) -> float:
    """Return the share of names that sound like none of some terms; months are terms that all languages share."""
    heard = {sounds for sounds in map(_sounds, terms) if len(sounds) >= LEAST_SOUNDS}
    told = {name: _sounds(name) for name in names if len(_sounds(name)) >= LEAST_SOUNDS}
    unheard = [
        name
        for name, sounds in told.items()
        if name not in terms and (is_month(name) or not any(_alike(sounds, other) for other in heard))
    ]
    return len(unheard) / len(told) if told else 0.0


def _alike(one: str, other: str) -> bool:
    """Tell whether one begins as the other does, but for a last sound: of cases and plurals."""
    most = max(LEAST_SOUNDS, min(len(one), len(other)) - 1)
    return one[:most] == other[:most]


@lru_cache(NAMES_REMEMBERED)
def _sounds(name: str) -> str:
    """Return the consonants of a name in any script, those written alike that sound alike in some language."""
    latin = SOUND.sub(lambda found: SOUNDS[found[0]], anyascii(name).lower())
    return DOUBLED.sub(r"\1", latin.translate(LIKE))
