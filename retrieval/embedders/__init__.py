"""Embedders, one class a file; each implements `retrieval.rank.Embedder`."""
