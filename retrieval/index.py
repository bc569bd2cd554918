"""A FAISS index of passage vectors: on the GPU where the installed faiss has one, else on the CPU.

One index a request: it lives as long as the ranking of one question. Exact inner product (Douze et al., 2024).
"""

import threading
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EmbedderUnavailable

Vectors = NDArray[np.float32]
_GPU = threading.Lock()


def similarities(queries: Vectors, passages: Vectors) -> Vectors:
    """Return cosine similarities of L2-normalized rows, shape (len(queries), len(passages))."""
    faiss = _faiss()
    index: Any = faiss.IndexFlatIP(passages.shape[1])
    # The resources of a GPU are for one thread at a time.
    with _GPU if on_gpu() else nullcontext():
        if on_gpu():
            index = faiss.index_cpu_to_gpu(_gpu_resources(), 0, index)
        index.add(np.ascontiguousarray(passages, dtype=np.float32))
        found, order = index.search(np.ascontiguousarray(queries, dtype=np.float32), len(passages))
    out: Vectors = np.empty_like(found)
    np.put_along_axis(out, order, found, axis=1)
    return out


@cache
def on_gpu() -> bool:
    """Tell whether the installed faiss sees a GPU."""
    faiss = _faiss()
    return bool(faiss.get_num_gpus() > 0 and hasattr(faiss, "StandardGpuResources"))


@cache
def _gpu_resources() -> Any:  # noqa: ANN401
    """Make the one shared resource object: each holds GPU memory of its own for as long as it lives."""
    return _faiss().StandardGpuResources()


@cache
def _faiss() -> Any:  # noqa: ANN401  (faiss is untyped)
    try:
        import faiss
    except ImportError as error:
        raise EmbedderUnavailable(
            "faiss is not installed: pip install 'wellread[embedded]', or 'wellread[gpu]' with a GPU"
        ) from error
    return faiss
