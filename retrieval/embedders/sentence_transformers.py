"""Any embedding model that sentence-transformers loads, by name or folder, on the GPU or the processor.

The e5 family wants to be told what is a question and what is a passage; other models get the texts as they are.
"""

import re
import threading
from typing import Any

import numpy as np

from retrieval.errors import EmbedderUnavailable
from retrieval.rank import TextKind, Vectors

E5_FAMILY = re.compile(r"(^|[/_-])e5([/_-]|$)", re.IGNORECASE)
BATCH_TEXTS = 32


class SentenceTransformersEmbedder:
    """A sentence-transformers model. `device` is torch's name of one ("cuda", "cpu"); None lets the package choose.

    The constructor loads the model: it blocks, and downloads when the model is not on this machine. Raises
    EmbedderUnavailable when the package or the model is missing.
    """

    def __init__(self, model_name: str, device: str | None = None) -> None:
        self._model = _load(model_name, device)
        self._prefixed = wants_prefixes(model_name)
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
        asked = [f"{kind}: {text}" for text in texts] if self._prefixed else list(texts)
        return self._encode(asked)

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


def wants_prefixes(model_name: str) -> bool:
    """Tell whether a model wants "query: " or "passage: " before a text."""
    return bool(E5_FAMILY.search(model_name)) and "instruct" not in model_name.lower()


def _load(model_name: str, device: str | None) -> Any:  # noqa: ANN401 - the package is optional
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EmbedderUnavailable(
            "sentence-transformers is not installed: pip install 'wellread[embeddings]' (or 'wellread[gpu]')"
        ) from error
    try:
        return SentenceTransformer(model_name, device=device)
    except (OSError, ValueError, RuntimeError) as error:
        raise EmbedderUnavailable(f"the embedding model {model_name} cannot be loaded: {error}") from error
