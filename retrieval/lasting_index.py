"""A FAISS index of numbered vectors that grows: all of them while they are few, a graph or lists when they are many.

On a processor many vectors lie in a graph (HNSW: Malkov and Yashunin, 2018); on a GPU in lists of which some are looked
into (IVF), in half precision. Knows no disk but the file of a graph, which takes long to make; what is deleted stays in
it until it is made anew, so whoever searches drops what is no longer there.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval import index as shared
from retrieval.index import Vectors
from retrieval.limits import MemoryLimits

Kind = Literal["flat", "hnsw", "ivf"]
Numbers = NDArray[np.int64]

# Chosen for a recall of .98 and more of the exact first ten, see the benchmark of the memory.
HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 32, 100, 128
LISTS_A_ROOT, PROBED_SHARE = 2.0, 0.5
# What faiss wants to learn a list from.
VECTORS_A_LIST = 39
# So many vectors are added before a search may come between.
ADDED_AT_ONCE = 64
DIGEST_BYTES = 32


class LastingIndex:
    """Vectors of unit length by number. Safe to use from many threads; every method blocks."""

    def __init__(self, limits: MemoryLimits) -> None:
        self._limits = limits
        self._index: Any = None
        self._kind: Kind = "flat"
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many vectors it holds, deleted ones too."""
        return int(self._index.ntotal) if self._index is not None else 0

    @property
    def kind(self) -> Kind:
        """How it searches."""
        return self._kind

    def outgrown(self, alive: int) -> bool:
        """Tell whether it should be made anew, given how many of its vectors are still wanted."""
        dead = self.size - alive
        return bool(self.size) and (self._kind != self._kind_for(alive) or dead > self._limits.dead_share * self.size)

    def fill(self, numbers: Numbers, vectors: Vectors) -> None:
        """Make it anew; searches go on in the old one meanwhile."""
        kind = self._kind_for(len(numbers))
        made = None
        if len(numbers):
            shared.use_threads(len(os.sched_getaffinity(0)))
            with self._gpu():
                made = shared.library().IndexIDMap2(empty(kind, shared.contiguous(vectors)))
                made.add_with_ids(shared.contiguous(vectors), numbers)
        with self._lock:
            self._index, self._kind = made, kind

    def add(self, numbers: Numbers, vectors: Vectors) -> None:
        """Add vectors."""
        if self._index is None:
            self.fill(numbers, vectors)
            return
        for start in range(0, len(numbers), ADDED_AT_ONCE):
            some = slice(start, start + ADDED_AT_ONCE)
            with self._lock, self._gpu():
                self._index.add_with_ids(shared.contiguous(vectors[some]), numbers[some])

    def search(self, queries: Vectors, count: int) -> list[list[tuple[int, float]]]:
        """Return for each query the numbers and cosines of the nearest vectors, the nearest first."""
        shared.use_threads(1)
        with self._lock, self._gpu():
            if self._index is None:
                return [[] for _ in queries]
            most = min(count, self.size, shared.GPU_NEIGHBORS)
            cosines, numbers = self._index.search(shared.contiguous(queries), most)
        rows = (zip(row, near, strict=True) for row, near in zip(numbers.tolist(), cosines.tolist(), strict=True))
        # Equal cosines in one order, whatever the index.
        return [sorted((each for each in row if each[0] >= 0), key=lambda each: (-each[1], each[0])) for row in rows]

    @property
    def numbers(self) -> Numbers:
        """The numbers of its vectors."""
        with self._lock:
            if self._index is None:
                return np.empty(0, np.int64)
            found: Numbers = shared.library().vector_to_array(self._index.id_map).copy()
            return found

    def save(self, path: Path) -> None:
        """Write a graph beside its place and move it there; other kinds are made anew as fast. Raises OSError."""
        if self._kind != "hnsw":
            path.unlink(missing_ok=True)
            return
        with self._lock:
            data = shared.library().serialize_index(self._index).tobytes()
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(hashlib.sha256(data).digest() + data)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)

    def load(self, path: Path, dimensions: int) -> bool:
        """Read a graph that was saved; False when the file is not what was written. Raises OSError."""
        data = path.read_bytes()
        digest, data = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        # Faiss takes what it is given at its word, sizes included.
        if hashlib.sha256(data).digest() != digest:
            return False
        found = shared.library().deserialize_index(np.frombuffer(data, np.uint8))
        if found.d != dimensions:
            return False
        with self._lock:
            self._index, self._kind = found, "hnsw"
        return True

    def _kind_for(self, count: int) -> Kind:
        if count < self._limits.hnsw_from:
            return "flat"
        return "ivf" if shared.on_gpu() else "hnsw"

    @contextmanager
    def _gpu(self) -> Iterator[None]:
        with shared.GPU if shared.on_gpu() else nullcontext():
            yield


def empty(kind: Kind, vectors: Vectors) -> Any:  # noqa: ANN401  (faiss is untyped)
    """Return an empty index of a kind for vectors like these, taught by them where it must be."""
    faiss, dimensions = shared.library(), vectors.shape[1]
    if kind == "flat":
        return shared.flat(dimensions)
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimensions, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = HNSW_BUILD, HNSW_SEARCH
        return graph
    lists = max(1, min(round(LISTS_A_ROOT * len(vectors) ** 0.5), len(vectors) // VECTORS_A_LIST))
    made = _lists(dimensions, lists)
    made.train(vectors)
    made.nprobe = max(1, round(PROBED_SHARE * lists))
    return made


def _lists(dimensions: int, lists: int) -> Any:  # noqa: ANN401
    """Return an untaught index of lists in half precision; on a processor only to be measured."""
    faiss = shared.library()
    half, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    if shared.on_gpu():
        return faiss.GpuIndexIVFScalarQuantizer(shared.gpu_resources(), dimensions, lists, half, metric, False)
    return faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dimensions), dimensions, lists, half, metric, False)
