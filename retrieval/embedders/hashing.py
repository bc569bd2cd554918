"""An embedder without weights, for tests and for trying things out: words and their parts, hashed into a vector.

Texts that share words or stems come out near each other; meaning is not known to it.
"""

import re
import zlib
from collections.abc import Iterator

import numpy as np

from retrieval.rank import TextKind, Vectors

WORD_WEIGHT = 2.0
GRAM_CHARS = 4


class HashingEmbedder:
    """Hashed words and character 4-grams. The same text gives the same vector in every process."""

    def __init__(self, dimensions: int = 256) -> None:
        self._dimensions = dimensions

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._dimensions

    @property
    def unrelated_below(self) -> float | None:
        """Not known."""
        return None

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts; shape (len(texts), dimensions), float32, L2-normalized rows. Cannot fail."""
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            _fill(vector, text)
        return vectors


def _fill(vector: Vectors, text: str) -> None:
    for feature, weight in _features(text):
        number = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
        vector[(number >> 1) % len(vector)] += weight if number & 1 else -weight
    length = float(np.linalg.norm(vector))
    if length:
        vector /= length
    else:  # no word, or words that cancel out: any fixed direction keeps the row normalized
        vector[0] = 1.0


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in re.findall(r"\w+", text.lower()):
        yield word, WORD_WEIGHT
        padded = f"<{word}>"
        for start in range(len(padded) - GRAM_CHARS + 1):
            yield padded[start : start + GRAM_CHARS], 1.0
