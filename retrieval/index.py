"""FAISS, on the GPU where the installed one has one, else on the CPU; and the index of one question's passages.

That one lives as long as the ranking of the question. Exact inner product (Douze et al., 2024). Vectors lie on a GPU in
half precision, which moves a cosine by less than .001: equal input still gives equal order.
"""

import threading
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EmbedderUnavailable

Vectors = NDArray[np.float32]
# The resources of a GPU are for one thread at a time.
GPU = threading.Lock()
# A search on a GPU gives no more neighbors than this.
GPU_NEIGHBORS = 2_048


def similarities(queries: Vectors, passages: Vectors) -> Vectors:
    """Return cosine similarities of L2-normalized rows, shape (len(queries), len(passages))."""
    asked, given = contiguous(queries), contiguous(passages)
    use_threads(1)
    if not on_gpu():
        return _all(flat(given.shape[1]), asked, given)
    with GPU:
        starts = range(0, len(given), GPU_NEIGHBORS)
        parts = [_all(flat(given.shape[1]), asked, given[start : start + GPU_NEIGHBORS]) for start in starts]
    return np.concatenate(parts, axis=1)


def flat(dimensions: int) -> Any:  # noqa: ANN401  (faiss is untyped)
    """Return an empty index of exact inner products; on a GPU in half precision."""
    if not on_gpu():
        return library().IndexFlatIP(dimensions)
    config = library().GpuIndexFlatConfig()
    config.useFloat16 = True
    return library().GpuIndexFlatIP(gpu_resources(), dimensions, config)


def use_threads(count: int) -> None:
    """Let what this thread asks of faiss run in so many threads.

    One question is searched in less than a millisecond by one; two that wait for each other on busy cores take fifty.
    """
    library().omp_set_num_threads(count)


def contiguous(vectors: Vectors) -> Vectors:
    """Return the vectors as faiss takes them."""
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _all(index: Any, asked: Vectors, given: Vectors) -> Vectors:  # noqa: ANN401
    """Search all queries in one call, and return the similarities in the order of the vectors."""
    index.add(given)
    found, order = index.search(asked, len(given))
    out: Vectors = np.empty_like(found)
    np.put_along_axis(out, order, found, axis=1)
    return out


@cache
def on_gpu() -> bool:
    """Tell whether the installed faiss sees a GPU."""
    faiss = library()
    return bool(faiss.get_num_gpus() > 0 and hasattr(faiss, "StandardGpuResources"))


@cache
def gpu_resources() -> Any:  # noqa: ANN401
    """Make the one shared resource object: each holds GPU memory of its own for as long as it lives."""
    return library().StandardGpuResources()


@cache
def library() -> Any:  # noqa: ANN401
    """Return faiss. Raises EmbedderUnavailable with the remedy."""
    try:
        import faiss
    except ImportError as error:
        raise EmbedderUnavailable(
            "faiss is not installed: pip install 'wellread[embedded]', or 'wellread[gpu]' with a GPU"
        ) from error
    return faiss
