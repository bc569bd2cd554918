"""Tells the e5 family what is a question and what is a passage; other models get the texts as they are."""

import re

from retrieval.rank import TextKind

E5_FAMILY = re.compile(r"(^|[/_-])e5([/_-]|$)", re.IGNORECASE)


def prefixed(texts: tuple[str, ...], kind: TextKind, model_name: str) -> list[str]:
    """Return the texts as the model of this name wants them."""
    return [f"{kind}: {text}" for text in texts] if wants_prefixes(model_name) else list(texts)


def wants_prefixes(model_name: str) -> bool:
    """Tell whether a model wants "query: " or "passage: " before a text."""
    return bool(E5_FAMILY.search(model_name)) and "instruct" not in model_name.lower()
