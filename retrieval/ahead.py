"""Embeds the likeliest passages of the pages in hand while other pages are still on their way.

Saves time and changes nothing: the ranking finds vectors ready that it would have computed itself. Of the pages in hand
only as many passages are embedded as their share of all pages is of all candidates, so little is embedded in vain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from retrieval.chunk import chunk
from retrieval.errors import EmbedderUnavailable
from retrieval.limits import ChunkLimits, RankLimits
from retrieval.rank import Embedder, Known, headed, learn, scored
from retrieval.types import Document


@dataclass(slots=True)
class Ahead:
    """The pages of one question so far, of `pages` in all. `known` is for the ranking."""

    queries: Sequence[str]
    language: str
    pages: int
    embedder: Embedder | None
    rank_limits: RankLimits
    chunk_limits: ChunkLimits
    known: Known = field(default_factory=Known)
    _documents: list[Document] = field(default_factory=list)
    _texts: list[list[str]] = field(default_factory=list)
    # Of so many pages nothing is left to embed.
    _finished: int = 0

    def add(self, document: Document) -> None:
        """Take in a page."""
        self._documents.append(document)

    def step(self) -> bool:
        """Embed the next few passages; tells whether there was any to embed. Blocks: call it in a thread."""
        documents = tuple(self._documents)
        if self.embedder is None or len(documents) == self._finished:
            return False  # at no cost: while pages are slow, this is asked many times a second
        try:
            new = self._likeliest(documents)
            learn(new, self.embedder, self.known)
        except EmbedderUnavailable:
            return False  # the ranking will meet the same fault, and say so
        if not new:
            self._finished = len(documents)
        return bool(new)

    def _likeliest(self, documents: Sequence[Document]) -> list[str]:
        """Return the likeliest candidates that have no vector yet, a few."""
        for document in documents[len(self._texts) :]:
            self._texts.append([headed(passage) for passage in chunk(document, self.chunk_limits)])
        texts = [text for page in self._texts for text in page]
        by_words = scored(self.queries, texts, self.language, self.known)
        wanted = round(self.rank_limits.candidates * min(1.0, len(documents) / self.pages))
        likely = (texts[i] for i in np.argsort(-by_words, kind="stable")[:wanted])
        return [text for text in likely if text not in self.known.vectors][: self.rank_limits.ahead]
