"""Any embedding model that sentence-transformers loads, by name or folder, on the GPU or the processor."""

import threading

import numpy as np

from retrieval.embedders.prefixes import prefixed
from retrieval.errors import EmbedderUnavailable
from retrieval.rank import TextKind, Vectors
from retrieval.torch_models import load

BATCH_TEXTS = 32


class SentenceTransformersEmbedder:
    """A sentence-transformers model. `device` is torch's name of one ("cuda", "cpu"); None lets the package choose.

    The constructor loads the model: it blocks, and downloads when the model is not on this machine. Raises
    EmbedderUnavailable when the package or the model is missing.
    """

    def __init__(self, model_name: str, device: str | None = None) -> None:
        self._model = load("SentenceTransformer", model_name, device, EmbedderUnavailable)
        self._name = model_name
        self._lock = threading.Lock()

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def unrelated_below(self) -> float | None:
        """Not known."""
        return None

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts; shape (len(texts), dimensions), float32, L2-normalized rows. Blocks: call it in a thread.

        Raises EmbedderUnavailable.
        """
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return self._encode(prefixed(texts, kind, self._name))

    def _encode(self, texts: list[str]) -> Vectors:
        try:
            with self._lock:
                made = self._model.encode(
                    texts, batch_size=BATCH_TEXTS, normalize_embeddings=True, show_progress_bar=False
                )
        except RuntimeError as error:  # torch reports a full or lost device so
            raise EmbedderUnavailable(f"the embedding model failed: {error}") from error
        vectors: Vectors = np.asarray(made, dtype=np.float32)
        return vectors
