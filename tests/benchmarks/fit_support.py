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

TARGET = Path("agent/support_weights.py")
FITTED_HALF = 0
REGULARIZATION = 0.3
# Of what is called supported, how much must be.
PRECISION = 0.945


def main() -> None:
    """Fit, choose the threshold, and write."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    servers.require_data()
    made = [pair for pair in pairs() if in_half(pair, FITTED_HALF)]
    rows = [evidence.features(pair.claim, pair.page.url) for pair, evidence in evidences(made)]
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    labels = np.array([pair.supported for pair in made])
    scaler = StandardScaler().fit(table)
    model = LogisticRegression(max_iter=5000, C=REGULARIZATION).fit(scaler.transform(table), labels)
    weights = model.coef_[0] / scaler.scale_
    intercept = float(model.intercept_[0] - weights @ scaler.mean_)
    scores = 1 / (1 + np.exp(-(table @ weights + intercept)))
    TARGET.write_text(module(names, weights, intercept, threshold(scores, labels)), encoding="utf-8")


def threshold(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Return the lowest score from which on the precision is high enough."""
    order = np.argsort(-scores)
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    return float(scores[order][np.flatnonzero(precision >= PRECISION)[-1]])


def module(names: list[str], weights: NDArray[np.float64], intercept: float, supported: float) -> str:
    """Write the weights as a Python module."""
    rows = "".join(f'    "{name}": {weight:.4g},\n' for name, weight in zip(names, weights, strict=True))
    return (
        '"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.\n\n'
        'Written by tests/benchmarks/fit_support.py.\n"""\n\n'
        f"SUPPORTED = {supported:.3f}\nINTERCEPT = {intercept:.4g}\nWEIGHTS = {{\n{rows}}}\n"
    )


if __name__ == "__main__":
    main()
