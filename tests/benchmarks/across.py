"""Measures how well it is told whether a page in another language than a claim's supports it, on pairs not seen before.

    python -m tests.benchmarks.across

By language of the claim and by how the pair was made: the share that is called proven, which should be 1 for the first
kinds and 0 for the others, and the share that is rejected, where it is the other way around; the rest is not judged.
"""

import time
from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

from agent.across_weights import PROVEN
from tests.benchmarks import servers
from tests.benchmarks.citation_pairs import Pair, crossed, in_half
from tests.benchmarks.fit_across import judged
from tests.benchmarks.fit_support import FITTED_HALF
from tests.benchmarks.tables import table, write

Verdict = Literal["proven", "rejected", "not judged"]
Judged = tuple[Pair, Verdict]
LANGUAGES = {"English": ("en",), "Russian": ("ru",), "both": ("en", "ru")}
HEAD = ("claim in", "pairs", "precision of proven", "recall", "true and rejected")
KIND_HEAD = ("kind", "English: proven, rejected", "Russian: proven, rejected")


def main() -> None:
    """Judge, and write what came of it."""
    servers.require_data()
    made = [pair for pair in crossed() if not in_half(pair, FITTED_HALF)]
    found: list[Judged] = []
    ms: list[float] = []
    for pair, page, judge in judged(made):
        start = time.perf_counter()
        support = judge.support(pair.claim, page)
        ms.append((time.perf_counter() - start) * 1000)
        found.append((pair, "not judged" if support is None else "proven" if support.score >= PROVEN else "rejected"))
    rows = [[name, *figures([one for one in found if one[0].language in codes])] for name, codes in LANGUAGES.items()]
    kinds = sorted({(not pair.supported, pair.kind) for pair, _ in found})
    by_kind = [[kind, *(cell(found, kind, code) for code in ("en", "ru"))] for _, kind in kinds]
    text = table(HEAD, rows) + "\n\n" + table(KIND_HEAD, by_kind)
    text += f"\n\nA mark takes {median(ms):.0f} ms at the median, {max(ms):.0f} at most: the first one of a page."
    write("across", text)


def figures(found: Sequence[Judged]) -> list[object]:
    """Count, precision and recall of proven, and the share of the true ones that is rejected."""
    proven = [pair.supported for pair, verdict in found if verdict == "proven"]
    true = [verdict for pair, verdict in found if pair.supported]
    return [len(found), fmean(proven), *(fmean(each == verdict for each in true) for verdict in ("proven", "rejected"))]


def cell(found: Sequence[Judged], kind: str, language: str) -> str:
    """Write the shares of one kind."""
    calls = [verdict for pair, verdict in found if (pair.kind, pair.language) == (kind, language)]
    shares = [fmean(call == verdict for call in calls) for verdict in ("proven", "rejected")] if calls else []
    return f"{shares[0]:.2f}, {shares[1]:.2f} of {len(calls)}" if calls else "none"


if __name__ == "__main__":
    main()
