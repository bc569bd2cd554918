"""Any ranking model behind `POST /v1/rerank`, in the shape that vLLM and text-embeddings-inference share with Jina."""

import numpy as np
from pydantic import AliasChoices, BaseModel, Field, SecretStr

from retrieval.errors import RerankerUnavailable
from retrieval.limits import ModelApiLimits
from retrieval.model_api import ModelApi
from retrieval.rank import Vectors


class _Result(BaseModel):
    index: int
    relevance_score: float = Field(validation_alias=AliasChoices("relevance_score", "score"), allow_inf_nan=False)


class _Results(BaseModel):
    results: list[_Result]


class OpenAICompatibleReranker:
    """A model by name, at a base URL ending in /v1. Safe to use from many threads."""

    def __init__(self, url: str, model: str, key: SecretStr | None, limits: ModelApiLimits | None = None) -> None:
        self._api = ModelApi("the reranking server", url, key, RerankerUnavailable, limits or ModelApiLimits())
        self._model = model

    @property
    def trouble(self) -> str | None:
        """What went wrong the last time."""
        return self._api.trouble

    def score(self, query: str, texts: tuple[str, ...]) -> Vectors:
        """Score texts, the better the higher; shape (len(texts),), float32. Blocks. Raises RerankerUnavailable."""
        body: dict[str, object] = {"model": self._model, "query": query, "documents": list(texts), "top_n": len(texts)}
        results = sorted(self._api.post("rerank", body, _Results).results, key=lambda row: row.index)
        if [row.index for row in results] != list(range(len(texts))):
            raise RerankerUnavailable("the reranking server did not send one score for each passage")
        return np.array([row.relevance_score for row in results], dtype=np.float32)
