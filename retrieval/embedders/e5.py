"""Reads the file in which multilingual-e5-small is packed: shape, vocabulary and tensors, as plain values.

The file is little endian and starts with "E5S1". The big matrices are in blocks of 32 weights of four bits with one
scale (the Q4_0 of GGUF); the other tensors are float32. Knows nothing of how the model is run.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import WeightsError

MAGIC, VERSION = b"E5S1", 1
BLOCK = 32
ZERO = 8  # a four-bit weight w stands for (w - ZERO) * scale
QUANTIZED_SUFFIXES = (".q.w", ".k.w", ".v.w", ".ao.w", ".fi.w", ".fo.w")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the model, in the order of the file."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The pieces of a Unigram tokenizer with their scores (log probabilities); the index is the token's number."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Quantized:
    """A matrix of four-bit weights: `scales` (rows, blocks) float16, `packed` (rows, blocks, 16) uint8.

    In each byte the earlier of two neighboring weights is in the low half.
    """

    scales: NDArray[np.float16]
    packed: NDArray[np.uint8]

    def floats(self) -> Floats:
        """Return the matrix as float32, shape (rows, columns)."""
        weights = np.stack((self.packed & 15, self.packed >> 4), axis=-1).reshape(*self.scales.shape, BLOCK)
        matrix: Floats = (weights.astype(np.float32) - ZERO) * self.scales.astype(np.float32)[..., None]
        return matrix.reshape(len(matrix), -1)


@dataclass(frozen=True, slots=True)
class E5:
    """The whole model. `matrices` holds the quantized tensors by name, `floats` the others (flat float32)."""

    shape: Shape
    epsilon: float
    vocabulary: Vocabulary
    matrices: Mapping[str, Quantized]
    floats: Mapping[str, Floats]


def read(path: Path) -> E5:
    """Read the packed model. Raises WeightsError for a file that is not one."""
    try:
        return _read(_Cursor(path.read_bytes()))
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise WeightsError(f"{path} is not a packed e5 model: {error}; remove it, and it is fetched again") from error


class _Cursor:
    """A place in the bytes of the file; `take` reads numbers and moves on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def take_bytes(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]


def _read(cursor: _Cursor) -> E5:
    magic, version = cursor.take("4sI")
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f"it starts with {magic!r}, version {version}")
    shape = Shape(*cursor.take("7i"))
    epsilon, block = cursor.take("fi")
    if block != BLOCK:
        raise ValueError(f"its blocks hold {block} weights, not {BLOCK}")
    vocabulary = _read_vocabulary(cursor)
    _, map_bytes = cursor.take("iI")
    cursor.take_bytes(map_bytes)  # a table of character replacements; NFKC says the same
    places = dict(_read_places(cursor))
    return E5(shape, epsilon, vocabulary, _matrices(cursor.data, places, shape), _floats(cursor.data, places))


def _read_vocabulary(cursor: _Cursor) -> Vocabulary:
    count, bos, eos, pad, unknown = cursor.take("5i")
    (blob_bytes,) = cursor.take("Q")
    offsets = cursor.take(f"{count + 1}I")
    scores = cursor.take(f"{count}f")
    blob = cursor.take_bytes(blob_bytes)
    pieces = tuple(blob[start:end].decode() for start, end in pairwise(offsets))
    return Vocabulary(pieces, scores, bos, eos, pad, unknown)


def _read_places(cursor: _Cursor) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each tensor's name with its offset in the file and its length, both in bytes."""
    (count,) = cursor.take("i")
    for _ in range(count):
        (length,) = cursor.take("H")
        name = cursor.take_bytes(length).decode()
        _, _, offset, size = cursor.take("BIQQ")
        yield name, (offset, size)


def _matrices(data: bytes, places: Mapping[str, tuple[int, int]], shape: Shape) -> dict[str, Quantized]:
    columns = {name: shape.feed_forward if name.endswith(".fo.w") else shape.hidden for name in places}
    return {
        name: _unpack(data, *place, columns[name] // BLOCK) for name, place in places.items() if _is_quantized(name)
    }


def _floats(data: bytes, places: Mapping[str, tuple[int, int]]) -> dict[str, Floats]:
    return {
        name: np.frombuffer(data, "<f4", size // 4, offset)
        for name, (offset, size) in places.items()
        if not _is_quantized(name)
    }


def _is_quantized(name: str) -> bool:
    return name == "emb.word" or name.endswith(QUANTIZED_SUFFIXES)


def _unpack(data: bytes, offset: int, size: int, blocks: int) -> Quantized:
    """Read rows of blocks: a float16 scale, then 16 bytes with weights 0-15 in the low halves, 16-31 in the high."""
    block = np.dtype([("scale", "<f2"), ("weights", "u1", BLOCK // 2)])
    rows = np.frombuffer(data, block, size // block.itemsize, offset).reshape(-1, blocks)
    halves = rows["weights"]
    weights = np.concatenate((halves & 15, halves >> 4), axis=-1)
    packed: NDArray[np.uint8] = weights[..., 0::2] | (weights[..., 1::2] << 4)
    return Quantized(rows["scale"].copy(), packed)
