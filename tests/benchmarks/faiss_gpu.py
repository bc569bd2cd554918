"""Measures FAISS on a GPU beside the processor: exact in single and half precision, and in lists.

    python -m tests.benchmarks.faiss_gpu [--vectors 20000 200000]

Drawn vectors of 384 numbers, in clusters as texts are; 64 queries at once and one at a time. Says so, and ends, where
the installed faiss sees no GPU. Knows nothing of the test data.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from retrieval import index as shared
from retrieval.index import Vectors
from retrieval.lasting_index import empty
from tests.benchmarks.tables import table, write

DIMENSIONS, QUERIES, NEIGHBORS, CLUSTERS = 384, 64, 10, 500
REPEATS = 20


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--vectors", type=int, nargs="+", default=[20_000, 200_000])
    args = cli.parse_args()
    if not shared.on_gpu():
        print("skipped: the installed faiss sees no GPU (pip install 'wellread[gpu]' on a machine with one)")
        sys.exit(0)
    rows = [row for count in args.vectors for row in measured(count)]
    head = ("index", "vectors", "s to make it", f"ms for {QUERIES} queries", "ms for one", f"recall of {NEIGHBORS}")
    write("faiss_gpu", table(head, rows))


def drawn(count: int) -> tuple[Vectors, Vectors]:
    """Draw vectors of unit length in clusters, and queries near some of them; always the same ones."""
    dice = np.random.default_rng(1)
    centers = dice.normal(size=(CLUSTERS, DIMENSIONS))
    given = centers[dice.integers(CLUSTERS, size=count)] + dice.normal(size=(count, DIMENSIONS))
    asked = given[:QUERIES] + 0.5 * dice.normal(size=(QUERIES, DIMENSIONS))
    return _unit(given), _unit(asked)


def _unit(vectors: Any) -> Vectors:
    found: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def measured(count: int) -> Iterator[list[object]]:
    """Measure each kind of index over so many vectors."""
    given, asked = drawn(count)
    exact = np.argsort(-(asked @ given.T), axis=1, kind="stable")[:, :NEIGHBORS]
    for name, make in kinds(given).items():
        start = time.perf_counter()
        index = make()
        index.add(given)
        made = time.perf_counter() - start
        together = _ms(lambda index=index: index.search(asked, NEIGHBORS))  # type: ignore[misc]
        alone = _ms(lambda index=index: index.search(asked[:1], NEIGHBORS))  # type: ignore[misc]
        found = index.search(asked, NEIGHBORS)[1]
        same = [len(set(near.tolist()) & set(best.tolist())) for near, best in zip(found, exact, strict=True)]
        yield [name, count, made, together, alone, statistics.fmean(same) / NEIGHBORS]


def kinds(given: Vectors) -> dict[str, Callable[[], Any]]:
    """Name what makes each empty index: the processor's, the GPU's in two precisions, and its lists."""
    faiss = shared.library()
    return {
        "processor, exact": lambda: faiss.IndexFlatIP(DIMENSIONS),
        "processor, graph": lambda: empty("hnsw", given),
        "GPU, exact, single precision": lambda: faiss.GpuIndexFlatIP(shared.gpu_resources(), DIMENSIONS),
        "GPU, exact, half precision": lambda: shared.flat(DIMENSIONS),
        "GPU, lists, half precision": lambda: empty("ivf", given),
    }


def _ms(search: Callable[[], object]) -> float:
    search()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        search()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
