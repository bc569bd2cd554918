"""Fits the model that tells whether a page supports a claim, and writes its weights to `agent/support_weights.py`.

    python -m tests.benchmarks.fit_support

Needs scikit-learn, which nothing else here does, and a folder of test data that is not part of this repository
(BENCH_DATA). It sees one half of the pairs; `tests.benchmarks.citations` reports on the other.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks import servers
from tests.benchmarks.citation_pairs import evidences, in_half, pairs
from tests.benchmarks.regression import fit

TARGET = Path("agent/support_weights.py")
FITTED_HALF = 0
REGULARIZATION = 0.3
# Of what is called supported, how much must be.
PRECISION = 0.945
DOCSTRING = """The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""


def main() -> None:
    """Fit, choose the threshold, and write."""
    servers.require_data()
    made = [pair for pair in pairs() if in_half(pair, FITTED_HALF)]
    rows = [evidence.features(pair.claim, pair.page.url) for pair, evidence in evidences(made)]
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    labels = np.array([pair.supported for pair in made])
    fitted = fit(table, labels, REGULARIZATION)
    supported = threshold(fitted.scores(table), labels, PRECISION)
    TARGET.write_text(fitted.module(DOCSTRING, names, SUPPORTED=supported), encoding="utf-8")


def threshold(scores: NDArray[np.float64], labels: NDArray[np.bool_], least: float) -> float:
    """Return the lowest score from which on the precision is high enough."""
    order = np.argsort(-scores)
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    return float(scores[order][np.flatnonzero(precision >= least)[-1]])


if __name__ == "__main__":
    main()
