"""Orders passages by how well they serve a question: words choose the candidates, words and vectors order them.

BM25 and cosine ranks are fused by reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009). Without an embedder, or
when it fails, the order is that of words, and `Ranking.note` says so. Blocks: call it in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval import index, words
from retrieval.computing import out_of_turn
from retrieval.errors import EmbedderUnavailable
from retrieval.limits import RankLimits
from retrieval.types import Passage, Ranked

Vectors = NDArray[np.float32]
TextKind = Literal["query", "passage"]

# A small constant lets the first places count: the candidates are few and the best of them matter most.
RRF_CONSTANT = 20
# What the best of the other queries adds to the question: of .2 to .7 the best on 130 questions of several hops, and no
# loss on 290 others (2026-11-23).
OTHERS_WEIGHT = 0.5
# The order of vectors beside that of words: of .5, 1, 1.5, 2 and 3 the best on those 290 (2026-11-23).
VECTORS_WEIGHT = 1.5


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def unrelated_below(self) -> float | None:
        """The cosine under which a passage has nothing to do with a query; None where that is not known."""
        ...

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts; shape (len(texts), dimensions), float32, L2-normalized rows. Blocks: call it in a thread.

        Raises EmbedderUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages, best first. `note` says what the ranking had to do without.

    `unrelated`: not even the nearest passage has to do with the question, as far as the embedder can tell.
    """

    passages: tuple[Ranked, ...]
    note: str | None = None
    unrelated: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of passages by their text before they are ranked: terms, and vectors of unit length."""

    terms: dict[str, words.Terms] = field(default_factory=dict)
    vectors: dict[str, Vectors] = field(default_factory=dict)


def rank(
    queries: Sequence[str],
    passages: Sequence[Passage],
    embedder: Embedder | None,
    limits: RankLimits,
    language: str,
    known: Known | None = None,
) -> Ranking:
    """Order passages by all queries; the first query is the question itself. Deterministic: `known` only saves time."""
    if not passages:
        return Ranking(())
    known = known or Known()
    texts = [headed(passage) for passage in passages]
    by_words = scored(queries, texts, language, known)
    candidates = np.argsort(-by_words, kind="stable")[: limits.candidates]
    if embedder is None:
        return Ranking(_ordered(passages, by_words, candidates, None, limits))

    def cosines(rows: NDArray[np.intp]) -> Vectors:
        learn([texts[i] for i in rows], embedder, known)
        return index.similarities(asked, np.stack([known.vectors[texts[i]] for i in rows]))

    try:
        asked = embedded(tuple(queries), "query", embedder)
        order = np.argsort(-_fused(by_words[candidates], _joined(cosines(candidates))), kind="stable")
        wider = _with_neighbors(passages, candidates, candidates[order[: limits.neighbors_of]])
        near = cosines(wider)
    except EmbedderUnavailable as error:
        note = f"ranked by words only: {error}"
        return Ranking(_ordered(passages, by_words, candidates, None, limits), note)
    floor = embedder.unrelated_below
    unrelated = floor is not None and float(near[0].max()) < floor
    return Ranking(_ordered(passages, by_words, wider, _joined(near), limits), None, unrelated)


def scored(queries: Sequence[str], texts: Sequence[str], language: str, known: Known) -> Vectors:
    """Score texts by the words of all queries; shape (len(texts),)."""
    return _joined(words.score(queries, texts, language, known.terms))


def learn(texts: Sequence[str], embedder: Embedder, known: Known) -> None:
    """Embed the texts whose vectors are not known. Blocks. Raises EmbedderUnavailable."""
    new = tuple(dict.fromkeys(text for text in texts if text not in known.vectors))
    if new:
        known.vectors.update(zip(new, embedded(new, "passage", embedder), strict=True))


def embedded(texts: tuple[str, ...], kind: TextKind, embedder: Embedder) -> Vectors:
    """Embed texts, and let other threads compute meanwhile. Blocks. Raises EmbedderUnavailable."""
    with out_of_turn():
        return embedder.embed(texts, kind)


def headed(passage: Passage) -> str:
    """Return a passage under its page's title: a passage alone often lacks the name it speaks of."""
    return f"{passage.document.title}\n{passage.text}"


def _joined(scores: Vectors) -> Vectors:
    """Join the scores of several queries: to the question's own the best of the others adds its part."""
    scale = scores.max(axis=1, keepdims=True)
    scaled = np.divide(scores, scale, out=np.zeros_like(scores), where=scale > 0)
    joined: Vectors = scaled[0]
    return joined + OTHERS_WEIGHT * scaled[1:].max(axis=0) if len(scaled) > 1 else joined


def _with_neighbors(
    passages: Sequence[Passage], candidates: NDArray[np.intp], best: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Add what stands on the same page before and after the best: it speaks of the same, and often without its name."""
    beside = ((i, i + step) for i in best for step in (-1, 1) if 0 <= i + step < len(passages))
    near = (j for i, j in beside if passages[j].document is passages[i].document)
    return np.fromiter(dict.fromkeys((*candidates, *near)), np.intp)


def _fused(by_words: Vectors, by_vectors: Vectors | None) -> Vectors:
    """Fuse the two orders of the same passages by reciprocal rank."""
    scores = _reciprocal(by_words)
    return scores if by_vectors is None else scores + VECTORS_WEIGHT * _reciprocal(by_vectors)


def _ordered(
    passages: Sequence[Passage],
    by_words: Vectors,
    candidates: NDArray[np.intp],
    by_vectors: Vectors | None,
    limits: RankLimits,
) -> tuple[Ranked, ...]:
    """Order the candidates; what is none follows in the order of words."""
    scores = _fused(by_words[candidates], by_vectors)
    first = [
        Ranked(
            passages[candidates[i]],
            float(scores[i]),
            float(by_words[candidates[i]]),
            None if by_vectors is None else float(by_vectors[i]),
        )
        for i in np.argsort(-scores, kind="stable")
    ]
    chosen = set(candidates)
    others = (i for i in np.argsort(-by_words, kind="stable") if i not in chosen)
    rest = (Ranked(passages[i], 0.0, float(by_words[i])) for i in others)
    return tuple(islice(chain(first, rest), limits.ranked))


def _reciprocal(scores: Vectors) -> Vectors:
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    reciprocal: Vectors = (1 / (RRF_CONSTANT + ranks)).astype(np.float32)
    return reciprocal
