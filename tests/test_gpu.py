"""FAISS on a GPU, wherever there is one and a faiss that sees it: `make test-gpu`."""

import numpy as np
import pytest

from retrieval import index
from retrieval.lasting_index import LastingIndex
from retrieval.limits import MemoryLimits
from tests.test_index import vectors

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not index.on_gpu(), reason="no GPU that the installed faiss sees (pip install 'wellread[gpu]')"),
]
# Of half precision.
CLOSE = 2e-3


@pytest.mark.parametrize("passages", [1, 70, 1_000, 2_048, 5_000])
def test_similarities_are_the_plain_product_nearly(passages):
    asked, given = vectors(7, 384, 1), vectors(passages, 384, 2)
    found = index.similarities(asked, given)
    assert found.shape == (7, passages)
    np.testing.assert_allclose(found, asked @ given.T, atol=CLOSE)


def test_the_same_input_gives_the_same_output_to_the_bit():
    asked, given = vectors(7, 384, 1), vectors(1_500, 384, 2)
    first = index.similarities(asked, given)
    for _ in range(20):
        np.testing.assert_array_equal(index.similarities(asked, given), first)


def test_there_is_one_resource_object():
    assert index.gpu_resources() is index.gpu_resources()


@pytest.mark.parametrize(("hnsw_from", "kind"), [(50_000, "flat"), (1_000, "ivf")])
def test_a_lasting_index_finds_what_the_plain_product_does(hnsw_from, kind):
    given, asked = vectors(20_000, 384, 1), vectors(50, 384, 2)
    # As passages are near their questions, and not as points drawn at random are to each other.
    asked = 0.5 * asked + 0.5 * given[:50]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    lasting = LastingIndex(MemoryLimits(hnsw_from=hnsw_from))
    numbers = np.arange(20_000, dtype=np.int64) + 7
    lasting.fill(numbers[:19_000], given[:19_000])
    lasting.add(numbers[19_000:], given[19_000:])
    assert (lasting.kind, lasting.size) == (kind, 20_000)
    found = lasting.search(asked, 10)
    assert [row[0][0] for row in found] == numbers[:50].tolist()
    assert lasting.search(asked, 10) == found
