"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""

SUPPORTED = 0.604
INTERCEPT = 2.332
WEIGHTS = {
    "words": 0.6718,
    "words on page": 3.39,
    "numbers missing": -1.435,
    "numbers not on page": -3.634,
    "names missing": -2.381,
    "names not on page": -1.465,
    "negated otherwise": -3.482,
    "negative alone": -4.918,
    "length": -2.148,
    "literal": 4.578,
    "beside names and numbers": 0.7982,
}
