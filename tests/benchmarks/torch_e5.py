"""Rebuilds multilingual-e5-small as a folder that sentence-transformers loads, from the weights that come packed.

So the plain way runs the very model that the product runs, as most programs would: in float32 on torch.
"""

from pathlib import Path
from typing import Any

import numpy as np

from retrieval.embedders import e5, embedded
from retrieval.weights import draw_progress, ensure

# Their names for ours, in each layer.
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def save(models_dir: Path, folder: Path) -> str:
    """Write the model; gives a path that ends so that it is known as one of the e5 family."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import PreTrainedTokenizerFast

    _, tokenizer = embedded._converted(models_dir, draw_progress)
    bert = folder / "bert"
    _bert(e5.read(ensure(embedded.WEIGHTS, models_dir, draw_progress))).save_pretrained(bert)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), **names).save_pretrained(bert)
    words = Transformer(str(bert), max_seq_length=embedded.MAX_TOKENS)
    parts = [words, Pooling(embedded.DIMENSIONS, "mean"), Normalize()]
    path = folder / "e5"
    SentenceTransformer(modules=parts, device="cpu").save(str(path))
    return str(path)


def _bert(model: e5.E5) -> Any:
    import torch
    from transformers import BertConfig, BertModel

    shape = model.shape
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        layer_norm_eps=model.epsilon,
        pad_token_id=model.vocabulary.pad,
    )
    bert = BertModel(config, add_pooling_layer=False)
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in _tensors(model).items()}
    bert.load_state_dict(tensors, strict=True)
    return bert


def _tensors(model: e5.E5) -> dict[str, e5.Floats]:
    hidden = model.shape.hidden
    tensors = {
        "embeddings.word_embeddings.weight": model.matrices["emb.word"].floats(),
        "embeddings.position_embeddings.weight": model.floats["emb.pos"].reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": model.floats["emb.type"].reshape(-1, hidden),
        "embeddings.LayerNorm.weight": model.floats["emb.ln.w"],
        "embeddings.LayerNorm.bias": model.floats["emb.ln.b"],
    }
    for layer in range(model.shape.layers):
        for ours, theirs in PARTS.items():
            weight, bias = f"l{layer}.{ours}.w", f"l{layer}.{ours}.b"
            matrix = model.matrices[weight].floats() if weight in model.matrices else model.floats[weight]
            tensors[f"encoder.layer.{layer}.{theirs}.weight"] = matrix
            tensors[f"encoder.layer.{layer}.{theirs}.bias"] = model.floats[bias]
    return tensors
