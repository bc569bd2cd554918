"""Embedder and reranker of sentence-transformers on real weights: `pytest -m torch`, where the package is installed."""

import os
from pathlib import Path

import numpy as np
import pytest

from retrieval.embedders.embedded import EmbeddedEmbedder
from retrieval.embedders.joined import JoinedEmbedder
from retrieval.embedders.prefixes import wants_prefixes
from retrieval.embedders.sentence_transformers import SentenceTransformersEmbedder
from retrieval.errors import EmbedderUnavailable, RerankerUnavailable
from retrieval.rerankers.sentence_transformers import SentenceTransformersReranker
from tests.benchmarks import torch_e5

FOLDER = Path(os.environ.get("WELLREAD_MODELS_DIR") or Path.home() / ".cache" / "wellread")
TEXTS = (
    "Волга впадает в Каспийское море; её исток — на Валдайской возвышенности.",
    "A partial index in PostgreSQL holds only the rows that satisfy its condition, so that writes stay cheap.",
    "Yes.",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    return torch_e5.save(FOLDER, tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("intfloat/multilingual-e5-small", True),
        ("/models/e5", True),
        ("intfloat/multilingual-e5-large-instruct", False),
        ("BAAI/bge-m3", False),
        ("some/code5-base", False),
    ],
)
def test_the_e5_family_is_known_by_name(name, wanted):
    assert wants_prefixes(name) is wanted


@pytest.mark.torch
def test_the_embedded_int8_model_says_nearly_the_same(model):
    embedder = JoinedEmbedder(SentenceTransformersEmbedder(model, "cpu"))
    embedded = EmbeddedEmbedder(FOLDER, lambda *_: None)
    assert embedder.dimensions == embedded.dimensions
    for kind in ("query", "passage"):
        given = embedder.embed(TEXTS, kind)
        assert given.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(given, axis=1), 1, atol=1e-5)
        assert (given * embedded.embed(TEXTS, kind)).sum(axis=1).min() > 0.98
    assert embedder.embed((), "query").shape == (0, embedded.dimensions)


@pytest.mark.torch
def test_a_cross_encoder_scores_each_text_for_itself(model, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **size)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reranker = SentenceTransformersReranker(str(tmp_path), "cpu")
    scores = reranker.score("Where does the Volga end?", TEXTS)
    assert (scores.shape, scores.dtype) == ((3,), np.float32)
    assert len(set(scores.tolist())) == 3
    np.testing.assert_allclose(reranker.score("Where does the Volga end?", TEXTS[::-1]), scores[::-1], atol=1e-5)


@pytest.mark.torch
def test_a_model_that_is_not_there_is_told(model, tmp_path):
    with pytest.raises(EmbedderUnavailable, match="nowhere"):
        SentenceTransformersEmbedder(str(tmp_path / "nowhere"))
    with pytest.raises(RerankerUnavailable, match="nowhere"):
        SentenceTransformersReranker(str(tmp_path / "nowhere"))
