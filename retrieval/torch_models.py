"""Opens models of sentence-transformers, which is optional: it needs torch."""

from typing import Any, Literal

from retrieval.errors import RetrievalError


def load(
    kind: Literal["SentenceTransformer", "CrossEncoder"],
    model_name: str,
    device: str | None,
    error: type[RetrievalError],
) -> Any:  # noqa: ANN401  (the package is optional)
    """Load a model by name or folder. Blocks; downloads what is not on this machine. Raises `error`."""
    try:
        import sentence_transformers
    except ImportError as missing:
        raise error(
            "sentence-transformers is not installed: pip install 'wellread[embeddings]' (or 'wellread[gpu]')"
        ) from missing
    try:
        return getattr(sentence_transformers, kind)(model_name, device=device)
    except (OSError, ValueError, RuntimeError) as fault:
        raise error(f"the model {model_name} cannot be loaded: {fault}") from fault
