import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import index
from retrieval.errors import EmbedderUnavailable


def vectors(rows: int, dimensions: int, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@given(st.integers(1, 4), st.integers(1, 70), st.integers(1, 33), st.integers(0, 2**32 - 1))
def test_similarities_are_the_plain_product(queries, passages, dimensions, seed):
    asked, given_ = vectors(queries, dimensions, seed), vectors(passages, dimensions, seed + 1)
    found = index.similarities(asked, given_)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, asked @ given_.T, atol=1e-5)


def test_equal_passages_are_equally_similar():
    asked = vectors(2, 8, 1)
    found = index.similarities(asked, np.repeat(asked[:1], 5, axis=0))
    np.testing.assert_allclose(found, np.repeat(asked @ asked[:1].T, 5, axis=1), atol=1e-5)


def test_other_layouts_and_types_are_taken():
    asked, given_ = np.asfortranarray(vectors(3, 8, 1), dtype=np.float64), vectors(20, 8, 2)[::2]
    np.testing.assert_allclose(index.similarities(asked, given_), asked @ given_.T, atol=1e-5)


def test_the_gpu_is_used_where_faiss_sees_one():
    import faiss

    assert index.on_gpu() is (faiss.get_num_gpus() > 0)


def test_a_missing_faiss_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    index.library.cache_clear()
    with pytest.raises(EmbedderUnavailable, match=r"pip install 'wellread\[embedded\]'"):
        index.similarities(vectors(1, 2, 1), vectors(1, 2, 1))
    index.library.cache_clear()
