"""Proves the citation marks of an answer: what the page of each says of its claim, word for word. Blocks briefly."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.claims import claims
from agent.support import Evidence
from agent.support_weights import SUPPORTED
from agent.types import Annotation
from retrieval.types import Passage

# The marks of an answer beyond so many different claims are not looked at; a model in a loop writes thousands.
MOST_CLAIMS = 200


def proven(text: str, marks: Sequence[Annotation], passages: Iterable[Passage], language: str) -> list[Annotation]:
    """Return the marks of an answer with their support, and with the quote that proves each, where there is one.

    `passages` are what the answer may rest on, some of each page of the marks among them. `language` is the answer's, a
    two-letter code; a page in another is not looked at: it has other words for the same.
    """
    evidence = Evidence(passages, language)
    known: dict[tuple[str, str], Annotation] = {}
    out: list[Annotation] = []
    for mark, claim in zip(marks, claims(text, marks), strict=True):
        if (claim, mark.url) not in known and len(known) < MOST_CLAIMS:
            known[claim, mark.url] = _proven(mark, claim, evidence, language)
        proof = known.get((claim, mark.url))
        out.append(replace(proof, start=mark.start, end=mark.end) if proof else mark)
    return out


def _proven(mark: Annotation, claim: str, evidence: Evidence, language: str) -> Annotation:
    document = evidence.page(mark.url).document
    if (document.language or language) != language:
        return replace(mark, date=document.date)
    support = evidence.support(claim, mark.url)
    quote = document.text[support.start : support.end].strip() if support.score >= SUPPORTED else None
    return replace(mark, support=support.score, quote=quote, date=document.date)
