"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""

SUPPORTED = 0.6073
INTERCEPT = 2.082
WEIGHTS = {
    "words": -0.2498,
    "words on page": 4.27,
    "numbers missing": -1.417,
    "numbers not on page": -3.411,
    "names missing": -2.253,
    "names not on page": -1.521,
    "negated otherwise": -3.48,
    "negative alone": -4.89,
    "length": -2.057,
    "literal": 4.533,
    "beside names and numbers": 0.8496,
}
