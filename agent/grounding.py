"""What an answer rests on, taken apart once: it proves the answer's marks, and tells where its pages disagree.

Both functions block, for a tenth of a second where pages are long: call them in a thread.
"""

from dataclasses import dataclass

from agent import progress
from agent.across import Across
from agent.cite import CitationReader
from agent.claims import sentences
from agent.disagreements import disagreements, one_sided
from agent.pack import of_best_pages
from agent.proof import Proof
from agent.support import Evidence
from agent.types import Disagreement, Question, Reading
from retrieval.rank import Embedder
from retrieval.types import Passage

# So many sentences of an answer are held against what the pages disagree on.
MOST_SENTENCES = 8


@dataclass(frozen=True, slots=True)
class Grounding:
    """What is known of an answer's pages before it is written."""

    evidence: Evidence
    proof: Proof
    disagreements: tuple[Disagreement, ...]


def ground(
    question: Question, reading: Reading, embedder: Embedder | None, evidence: Evidence | None = None
) -> Grounding:
    """Take what was read apart; `evidence` is that of the same reading with more sources, where there is one."""
    evidence = evidence or Evidence(_given(question, reading), reading.plan.language)
    found = disagreements(reading.plan.question, reading.context.sources, evidence)
    return Grounding(evidence, Proof(evidence, _across(embedder, evidence.language)), found)


def _across(embedder: Embedder | None, language: str) -> Across | None:
    """Return what judges pages in other languages, for an embedder whose cosines are of a known scale."""
    return Across(embedder, language) if embedder and embedder.unrelated_below is not None else None


def closing(marks: CitationReader, grounding: Grounding, reading: Reading) -> str:
    """Write what a reader should know after an answer: that its pages disagree with it, or that none says it."""
    language = reading.plan.language
    pages = {source.number: source.document for source in reading.context.sources}
    if against := _against(marks.text, grounding, reading):
        grounding.proof.quoting({pages[each.number].url: each.exact for each in (against.one, against.other)})
        return marks.close(progress.disagreement(language, against))
    if marks.checked and not marks.proven and grounding.proof.misses(marks.text, list(pages.values())):
        return marks.close(progress.unproven(language))
    return ""


def _against(answer: str, grounding: Grounding, reading: Reading) -> Disagreement | None:
    """Return the first disagreement of the pages of which the answer tells one side alone."""
    question, language, sources = reading.plan.question, reading.plan.language, reading.context.sources
    nearer = (
        disagreements(question, sources, grounding.evidence, sentence)
        for sentence in sentences(answer)[:MOST_SENTENCES]
    )
    one_sides = (one_sided(answer, found, language) for found in (grounding.disagreements, *nearer))
    return next(filter(None, one_sides), None)


def _given(question: Question, reading: Reading) -> list[Passage]:
    """List the passages that an answer may rest on: those the model was given, then all others in rank order."""
    given = [row for source in reading.context.sources for row in source.passages]
    return [row.passage for row in (*given, *of_best_pages(reading.ranked, question.max_sources))]
