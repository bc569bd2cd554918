"""Measures how well it is told whether a page supports a claim, on pairs that the weights have not seen.

    python -m tests.benchmarks.citations

Precision is of what is called supported, recall of what is; both by language, and by how the pair was made the share
that is called supported: it should be 1 for the first kinds and 0 for the others.
"""

import time
from collections.abc import Sequence
from statistics import fmean, median

from agent.cite import CitationReader
from agent.grounding import closing, ground
from agent.support_weights import SUPPORTED
from agent.types import Context, Coverage, Message, Plan, Question, Reading, Source, Timings
from retrieval.types import Ranked
from tests.benchmarks import servers
from tests.benchmarks.citation_pairs import Pair, evidences, in_half, pairs, ranked
from tests.benchmarks.fit_support import FITTED_HALF
from tests.benchmarks.tables import table, write

LANGUAGES = {"all": ("en", "ru"), "English": ("en",), "Russian": ("ru",)}
Judged = tuple[Pair, bool]
# How many answers are timed, and how many marks each has.
TIMED, MARKS = 100, 6


def main() -> None:
    """Judge, and write what came of it."""
    servers.require_data()
    made = [pair for pair in pairs() if not in_half(pair, FITTED_HALF)]
    judged = [
        (pair, evidence.support(pair.claim, [pair.page.url])[0].score >= SUPPORTED)
        for pair, evidence in evidences(made)
    ]
    overall = [
        [name, *figures([one for one in judged if one[0].language in codes])] for name, codes in LANGUAGES.items()
    ]
    kinds = sorted({(not pair.supported, pair.kind) for pair in made})
    by_kind = [[kind, *(cell(judged, kind, code) for code in ("en", "ru"))] for _, kind in kinds]
    text = table(("pairs of", "pairs", "precision", "recall"), overall)
    text += "\n\n" + table(("kind", "English: called supported", "Russian: called supported"), by_kind)
    ms = [proving(pair, made[place + 1 : place + MARKS]) * 1000 for place, pair in timed(made)]
    text += f"\n\nChecking an answer of {MARKS} marks takes {median(ms):.0f} ms at the median, {max(ms):.0f} at most."
    write("citations", text)


def proving(pair: Pair, others: Sequence[Pair]) -> float:
    """Return the seconds that it costs to check an answer of several marks, most of which nothing proves.

    What was read is taken apart, disagreements are looked for, each mark is held against its page and then against all
    others, and so is the answer at its end. A mark that its page proves costs less.
    """
    passages = ranked(pair)
    pages = {passage.document.url: passage for passage in passages}
    rows = (Ranked(passage, 1.0, 1.0) for passage in pages.values())
    sources = tuple(Source(number, row.passage.document, (row,)) for number, row in enumerate(rows, 1))
    claims = [pair.claim, *(other.claim for other in others)]
    answer = " ".join(f"{claim.rstrip('.')} [1]." for claim in claims)
    plan = Plan(pair.question, pair.language, ())
    given = tuple(Ranked(passage, 1.0, 1.0) for passage in passages)
    reading = Reading(plan, given, Context("", sources), Coverage(), Timings())
    start = time.perf_counter()
    grounding = ground(Question((Message("user", pair.question),)), reading, None)
    assert grounding
    marks = CitationReader(sources, proof=grounding.proof)
    marks.feed(answer)
    marks.flush()
    closing(marks, grounding, reading)
    return time.perf_counter() - start


def timed(made: Sequence[Pair]) -> list[tuple[int, Pair]]:
    """Choose the answers that are timed."""
    return list(enumerate(made))[: -MARKS : len(made) // TIMED]


def figures(judged: Sequence[Judged]) -> list[object]:
    """Count, precision and recall."""
    right = sum(pair.supported and called for pair, called in judged)
    called, supported = sum(called for _, called in judged), sum(pair.supported for pair, _ in judged)
    return [len(judged), right / called, right / supported]


def cell(judged: Sequence[Judged], kind: str, language: str) -> str:
    """Write the share of one kind that is called supported."""
    calls = [called for pair, called in judged if (pair.kind, pair.language) == (kind, language)]
    return f"{fmean(calls):.2f} of {len(calls)}" if calls else "none"


if __name__ == "__main__":
    main()
