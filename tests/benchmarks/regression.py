"""Fits a logistic regression whose weights are those of the features as they are, and writes them as a Python module.

Needs scikit-learn, which nothing else here does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Fitted:
    """The model: a weight for each feature, in their order."""

    weights: NDArray[np.float64]
    intercept: float

    def scores(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a score from 0 to 1 for each row."""
        scores: NDArray[np.float64] = 1 / (1 + np.exp(-(table @ self.weights + self.intercept)))
        return scores

    def module(self, docstring: str, names: Sequence[str], **constants: float) -> str:
        """Write the model, and constants beside it, as a Python module."""
        told = {**constants, "INTERCEPT": self.intercept}
        lines = "".join(f"{name} = {value:.4g}\n" for name, value in told.items())
        rows = zip(names, self.weights, strict=True)
        weights = "".join(f'    "{name}": {weight:.4g},\n' for name, weight in rows)
        return f'"""{docstring}"""\n\n{lines}WEIGHTS = {{\n{weights}}}\n'


def fit(
    table: NDArray[np.float64],
    labels: NDArray[np.bool_],
    regularization: float,
    sample_weight: NDArray[np.float64] | None = None,
) -> Fitted:
    """Fit rows of features to labels; `regularization` is scikit-learn's C, over scaled features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(table)
    model = LogisticRegression(max_iter=5000, C=regularization)
    model.fit(scaler.transform(table), labels, sample_weight=sample_weight)
    weights = model.coef_[0] / scaler.scale_
    return Fitted(weights, float(model.intercept_[0] - weights @ scaler.mean_))
