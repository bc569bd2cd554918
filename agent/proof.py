"""Proves the citation marks of an answer: what the page of each says of its claim, word for word. Blocks briefly."""

from collections.abc import Sequence
from dataclasses import replace

from agent.claims import claims
from agent.support import Evidence
from agent.support_weights import SUPPORTED
from agent.types import Annotation
from retrieval.types import Document


def proven(text: str, marks: Sequence[Annotation], documents: Sequence[Document], language: str) -> list[Annotation]:
    """Return the marks of an answer with their support, and with the quote that proves each, where there is one.

    `documents` are the pages that the answer may rest on, those of the marks among them.
    """
    evidence = Evidence(documents, language)
    return [_proven(mark, claim, evidence) for mark, claim in zip(marks, claims(text, marks), strict=True)]


def _proven(mark: Annotation, claim: str, evidence: Evidence) -> Annotation:
    document, support = evidence.page(mark.url).document, evidence.support(claim, mark.url)
    quote = document.text[support.start : support.end].strip() if support.score >= SUPPORTED else None
    return replace(mark, support=support.score, quote=quote, date=document.date)
