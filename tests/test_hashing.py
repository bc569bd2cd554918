import subprocess
import sys
from pathlib import Path

import numpy as np

from retrieval.embedders.hashing import HashingEmbedder

ROOT = Path(__file__).parents[1]


def test_rows_are_normalized_even_without_words():
    vectors = HashingEmbedder().embed(("Волга впадает в море", "", "…", "a"), "passage")
    assert vectors.shape == (4, 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows():
    assert HashingEmbedder(32).embed((), "query").shape == (0, 32)
    assert HashingEmbedder(32).dimensions == 32


def test_shared_stems_come_out_near():
    (query,) = HashingEmbedder().embed(("реки России",), "query")
    river, soup = HashingEmbedder().embed(("Волга — река в России", "Рецепт борща со свёклой"), "passage")
    assert query @ river > query @ soup + 0.2


def test_every_process_makes_the_same_vector():
    code = "from retrieval.embedders.hashing import *; print(HashingEmbedder().embed(('слово one',), 'query').tolist())"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
