"""Joins the texts of requests that wait at the same time into one batch: a GPU embeds many about as fast as few.

Whoever has the model next takes along what the others are waiting for (flat combining: Hendler et al., SPAA 2010).
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from retrieval.errors import EmbedderUnavailable
from retrieval.rank import Embedder, TextKind, Vectors

TEXTS_AT_ONCE = 512


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    texts: tuple[str, ...]
    kind: TextKind
    vectors: Future[Vectors] = field(default_factory=Future)


class JoinedEmbedder:
    """An embedder before a slow one that is asked by many threads; `texts_at_once` bounds what is joined."""

    def __init__(self, embedder: Embedder, texts_at_once: int = TEXTS_AT_ONCE) -> None:
        self._embedder, self._texts_at_once = embedder, texts_at_once
        self._model, self._door = threading.Lock(), threading.Lock()
        self._waiting: list[_Waiting] = []

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._embedder.dimensions

    @property
    def unrelated_below(self) -> float | None:
        """The cosine under which a passage has nothing to do with a query."""
        return self._embedder.unrelated_below

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts as the embedder behind does; shape (len(texts), dimensions). Blocks: call it in a thread.

        Raises EmbedderUnavailable.
        """
        mine = _Waiting(texts, kind)
        with self._door:
            self._waiting.append(mine)
        with self._model:
            if not mine.vectors.done():
                self._run(self._taken(mine))
        return mine.vectors.result()

    def _taken(self, mine: _Waiting) -> list[_Waiting]:
        """Take mine out of the waiting, and others of its kind while they fit."""
        taken = [mine]
        room = self._texts_at_once - len(mine.texts)
        with self._door:
            for other in self._waiting:
                if other is not mine and other.kind == mine.kind and len(other.texts) <= room:
                    taken.append(other)
                    room -= len(other.texts)
            self._waiting = [other for other in self._waiting if other not in taken]
        return taken

    def _run(self, taken: list[_Waiting]) -> None:
        texts = tuple(text for each in taken for text in each.texts)
        try:
            vectors = self._embedder.embed(texts, taken[0].kind)
        except EmbedderUnavailable as error:
            for each in taken:
                each.vectors.set_exception(error)
            return
        ends = list(accumulate(len(each.texts) for each in taken))
        for each, part in zip(taken, np.split(vectors, ends[:-1]), strict=True):
            each.vectors.set_result(part)
