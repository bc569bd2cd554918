"""stub until the ranker lands"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
TextKind = Literal["query", "passage"]


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts; shape (len(texts), dimensions), float32, L2-normalised rows. Blocks: call it in a thread.

        Raises EmbedderUnavailable.
        """
        ...
