"""The embedder on its real weights: `pytest -m embedded`. The weights are fetched on first use."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from retrieval.embedders import e5, embedded
from retrieval.embedders.embedded import EmbeddedEmbedder
from retrieval.errors import EmbedderUnavailable, WeightsError

FOLDER = Path(os.environ.get("WELLREAD_MODELS_DIR") or Path.home() / ".cache" / "wellread")
PASSAGES = (
    "Волга впадает в Каспийское море; её исток — на Валдайской возвышенности.",
    "A partial index in PostgreSQL holds only the rows that satisfy its condition, so that writes stay cheap.",
    "Для борща берут свёклу, капусту, картофель и мясо; варят около двух часов.",
    "Photosynthesis turns the energy of light into chemical energy; oxygen is released.",
)
QUESTIONS = (
    ("Куда течёт Волга?", 0),
    ("Where does the Volga end?", 0),
    ("how to make indexes smaller in postgres", 1),
    ("как сделать индекс меньше в базе данных", 1),
    ("beetroot soup ingredients", 2),
    ("зачем растениям свет", 3),
)


@pytest.fixture(scope="module")
def embedder():
    return EmbeddedEmbedder(FOLDER, lambda *_: None)


def test_a_missing_package_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_converted", lambda *_: (tmp_path / "graph", tmp_path / "tokenizer"))
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(EmbedderUnavailable, match=r"tokenizers.*pip install 'wellread\[embedded\]'"):
        EmbeddedEmbedder(tmp_path, lambda *_: None)


def test_a_file_that_is_no_model_is_told(tmp_path):
    path = tmp_path / "e5.bin"
    path.write_bytes(b"nothing at all")
    with pytest.raises(WeightsError, match="not a packed e5 model"):
        e5.read(path)


def test_four_bit_weights_are_read_in_order():
    block = np.float16(0.5).tobytes() + bytes(low | (15 - low) << 4 for low in range(16))
    (row,) = e5._unpack(block, 0, len(block), 1).floats()
    assert row.tolist() == [(w - 8) / 2 for w in (*range(16), *range(15, -1, -1))]


def test_nothing_is_reported_to_the_maker_of_the_runtime(tmp_path):
    code = """
from pathlib import Path
from retrieval.embedders import embedded
from retrieval.errors import EmbedderUnavailable
try:
    embedded._loaded(Path("no graph"), Path("no tokenizer"))
except EmbedderUnavailable as error:
    print(error)
"""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent.parent,
        env=kept | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ONNX Runtime" in done.stdout  # so it was loaded
    assert [path.name for path in tmp_path.rglob("*")] == []


@pytest.mark.embedded
def test_the_right_passage_comes_first_in_both_languages(embedder):
    passages = embedder.embed(PASSAGES, "passage")
    queries = embedder.embed(tuple(question for question, _ in QUESTIONS), "query")
    assert (queries @ passages.T).argmax(axis=1).tolist() == [answer for _, answer in QUESTIONS]


@pytest.mark.embedded
def test_vectors_are_those_of_the_model_in_floats(embedder):
    """The start of the vector that the same weights give in float32, computed with torch's BertModel."""
    (vector,) = embedder.embed((REFERENCE_TEXT,), "passage")
    cosine = vector[: len(REFERENCE)] @ REFERENCE / np.linalg.norm(vector[: len(REFERENCE)]) / np.linalg.norm(REFERENCE)
    assert cosine > 0.99


@pytest.mark.embedded
def test_rows_are_normalized_and_independent_of_their_neighbors(embedder):
    texts = ("", "a", *PASSAGES, "слово " * 2000)
    together = embedder.embed(texts, "passage")
    assert together.shape == (len(texts), embedder.dimensions)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together, np.concatenate([embedder.embed((text,), "passage") for text in texts]))
    assert embedder.embed((), "query").shape == (0, 384)


@pytest.mark.embedded
def test_many_threads_get_the_same_vectors(embedder):
    expected = embedder.embed(PASSAGES, "passage")
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: embedder.embed(PASSAGES, "passage"), range(8)):
            np.testing.assert_array_equal(found, expected)


REFERENCE_TEXT = PASSAGES[0]
REFERENCE = np.array(
    [
        0.0322,
        -0.0203,
        -0.0227,
        -0.0548,
        0.1077,
        -0.0239,
        0.0151,
        0.0260,
        0.0545,
        0.0185,
        0.0423,
        -0.0468,
        0.0302,
        -0.0303,
        -0.0636,
        0.0374,
        0.0791,
        -0.0244,
        -0.0015,
        -0.0389,
        0.0012,
        -0.0524,
        -0.0334,
        0.0483,
        0.0327,
        0.0977,
        -0.0604,
        -0.0067,
        0.0501,
        -0.0532,
        -0.0292,
        -0.0449,
        0.0461,
        -0.0784,
        0.0877,
        0.0356,
        0.0083,
        -0.0407,
        0.0583,
        -0.0463,
        -0.0364,
        0.0087,
        0.0602,
        0.0676,
        0.0660,
        0.0968,
        -0.0236,
        -0.0089,
    ],
    np.float32,
)
