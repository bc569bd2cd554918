"""Any embedding model behind an OpenAI-compatible server: `POST /v1/embeddings` of vLLM and its like."""

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, SecretStr

from retrieval.embedders.prefixes import prefixed
from retrieval.errors import EmbedderUnavailable
from retrieval.limits import ModelApiLimits
from retrieval.model_api import ModelApi
from retrieval.rank import TextKind, Vectors


class _Embedding(BaseModel):
    index: int
    embedding: Annotated[list[float], Field(min_length=1)]


class _Embeddings(BaseModel):
    data: list[_Embedding]


class OpenAICompatibleEmbedder:
    """A model by name, at a base URL ending in /v1. Safe to use from many threads."""

    def __init__(self, url: str, model: str, key: SecretStr | None, limits: ModelApiLimits | None = None) -> None:
        self._limits = limits or ModelApiLimits()
        self._api = ModelApi("the embedding server", url, key, EmbedderUnavailable, self._limits)
        self._pool = ThreadPoolExecutor(self._limits.requests_at_once, thread_name_prefix="embed")
        self._model = model
        self._dimensions: int | None = None

    @property
    def dimensions(self) -> int:
        """Length of a vector. Raises EmbedderUnavailable where nothing was embedded yet and the server is down."""
        if self._dimensions is None:
            self.embed(("dimensions",), "query")
        return self._dimensions or 0

    @property
    def unrelated_below(self) -> float | None:
        """Not known."""
        return None

    @property
    def trouble(self) -> str | None:
        """What went wrong the last time."""
        return self._api.trouble

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts; shape (len(texts), dimensions), float32, L2-normalized rows. Blocks: call it in a thread.

        Raises EmbedderUnavailable.
        """
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        asked = prefixed(texts, kind, self._model)
        starts = range(0, len(asked), self._limits.texts_at_once)
        parts = list(self._pool.map(self._batch, [asked[i : i + self._limits.texts_at_once] for i in starts]))
        vectors = np.concatenate(parts) if len({part.shape[1] for part in parts}) == 1 else np.empty((0, 0), np.float32)
        if not len(vectors) or vectors.shape[1] != (self._dimensions or vectors.shape[1]):
            raise EmbedderUnavailable("the embedding server sent vectors of different lengths")
        self._dimensions = vectors.shape[1]
        return vectors

    def _batch(self, texts: list[str]) -> Vectors:
        body: dict[str, object] = {"model": self._model, "input": texts, "encoding_format": "float"}
        data = sorted(self._api.post("embeddings", body, _Embeddings).data, key=lambda row: row.index)
        if [row.index for row in data] != list(range(len(texts))) or len({len(row.embedding) for row in data}) != 1:
            raise EmbedderUnavailable("the embedding server did not send one vector for each text")
        vectors = np.array([row.embedding for row in data], dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise EmbedderUnavailable("the embedding server sent a vector without a direction")
        normalized: Vectors = vectors / lengths
        return normalized
