"""The weights of `agent.across`, by feature.

From PROVEN on a claim counts as supported, below REJECTED as not.

Written by tests/benchmarks/fit_across.py.
"""

PROVEN = 0.7992
REJECTED = 0.1757
INTERCEPT = -15.79
WEIGHTS = {
    "cosine": 22.07,
    "above the page's mean": 9.203,
    "numbers not on page": -3.239,
    "names missing": -1.263,
    "negative alone": -2.147,
    "negated otherwise": -1.43,
    "length": -0.8297,
    "longer than the sentence": -1.826,
}
