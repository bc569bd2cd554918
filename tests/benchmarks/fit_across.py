"""Fits the model that tells whether a page in another language supports a claim: `agent/across_weights.py`.

    python -m tests.benchmarks.fit_across

Needs scikit-learn, which nothing else here does, the embedder that comes with the product, and a folder of test data
that is not part of this repository (BENCH_DATA). It sees one half of the pairs; `tests.benchmarks.across` reports on
the other.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from agent.across import Across
from agent.settings import Settings
from agent.support import PageText
from retrieval.embedders.embedded import EmbeddedEmbedder
from retrieval.weights import draw_progress
from tests.benchmarks import servers
from tests.benchmarks.citation_pairs import Pair, crossed, in_half, ranked
from tests.benchmarks.fit_support import FITTED_HALF, REGULARIZATION, threshold
from tests.benchmarks.regression import fit

TARGET = Path("agent/across_weights.py")
# Of what is called proven, how much must be; and how much of what is supported may be rejected.
PRECISION, LOST = 0.92, 0.05
DOCSTRING = """The weights of `agent.across`, by feature.

From PROVEN on a claim counts as supported, below REJECTED as not.

Written by tests/benchmarks/fit_across.py.
"""


def main() -> None:
    """Fit, choose the thresholds, and write."""
    servers.require_data()
    made = [pair for pair in crossed() if in_half(pair, FITTED_HALF)]
    rows = [across.features(pair.claim, page)[1] for pair, page, across in judged(made)]
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    labels = np.array([pair.supported for pair in made])
    fitted = fit(table, labels, REGULARIZATION)
    scores = fitted.scores(table)
    bounds = {"PROVEN": threshold(scores, labels, PRECISION), "REJECTED": float(np.quantile(scores[labels], LOST))}
    TARGET.write_text(fitted.module(DOCSTRING, names, **bounds), encoding="utf-8")


def judged(made: Sequence[Pair]) -> Iterator[tuple[Pair, PageText, Across]]:
    """Give each pair with its page taken apart, and what judges claims in its language."""
    embedder = EmbeddedEmbedder(Settings().models_dir, draw_progress)
    judges = {language: Across(embedder, language) for language in ("en", "ru")}
    known: dict[tuple[str, str], PageText] = {}
    for pair in made:
        key = (pair.question, pair.page.url)
        if key not in known:
            rows = [passage for passage in ranked(pair) if passage.document.url == pair.page.url]
            known[key] = PageText(rows, pair.page.language or "")
        yield pair, known[key], judges[pair.language]


if __name__ == "__main__":
    main()
