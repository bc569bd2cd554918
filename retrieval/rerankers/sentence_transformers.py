"""Any cross-encoder that sentence-transformers loads, by name or folder, on the GPU or the processor."""

import threading

import numpy as np

from retrieval.errors import RerankerUnavailable
from retrieval.rank import Vectors
from retrieval.torch_models import load

BATCH_PAIRS = 16


class SentenceTransformersReranker:
    """A cross-encoder. `device` is torch's name of one ("cuda", "cpu"); None lets the package choose.

    The constructor loads the model: it blocks, and downloads when the model is not on this machine. Raises
    RerankerUnavailable when the package or the model is missing.
    """

    def __init__(self, model_name: str, device: str | None = None) -> None:
        self._model = load("CrossEncoder", model_name, device, RerankerUnavailable)
        self._lock = threading.Lock()

    def score(self, query: str, texts: tuple[str, ...]) -> Vectors:
        """Score texts, the better the higher; shape (len(texts),), float32. Blocks. Raises RerankerUnavailable."""
        try:
            with self._lock:
                made = self._model.predict(
                    [(query, text) for text in texts], batch_size=BATCH_PAIRS, show_progress_bar=False
                )
        except RuntimeError as error:  # torch reports a full or lost device so
            raise RerankerUnavailable(f"the reranking model failed: {error}") from error
        scores: Vectors = np.asarray(made, dtype=np.float32)
        return scores
