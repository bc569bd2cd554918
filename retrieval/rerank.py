"""Orders the best passages once more by a model that reads question and passage together (a cross-encoder).

Nogueira and Cho, 2019. Blocks: call it in a thread.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from retrieval.errors import RerankerUnavailable
from retrieval.limits import RankLimits
from retrieval.rank import Ranking, Vectors, headed


class Reranker(Protocol):
    """Scores passages for a question."""

    def score(self, query: str, texts: tuple[str, ...]) -> Vectors:
        """Score texts, the better the higher; shape (len(texts),), float32. Blocks. Raises RerankerUnavailable."""
        ...


def reranked(question: str, ranking: Ranking, reranker: Reranker, limits: RankLimits) -> Ranking:
    """Order the first `limits.reranked` passages anew; where the reranker fails the order stays, and the note says so.

    Scores become those of the new places, so that they go on falling.
    """
    first, rest = ranking.passages[: limits.reranked], ranking.passages[limits.reranked :]
    if not first:
        return ranking
    try:
        scores = reranker.score(question, tuple(headed(row.passage) for row in first))
    except RerankerUnavailable as error:
        notes = [note for note in (ranking.note, f"not reranked: {error}") if note]
        return replace(ranking, note="; ".join(notes))
    order = np.argsort(-scores, kind="stable")
    moved = tuple(replace(first[i], score=place.score) for i, place in zip(order, first, strict=True))
    return replace(ranking, passages=(*moved, *rest))
