"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""

SUPPORTED = 0.6117
INTERCEPT = 2.222
WEIGHTS = {
    "words": -0.05213,
    "words on page": 4.1,
    "numbers missing": -1.463,
    "numbers not on page": -3.345,
    "names missing": -2.258,
    "names not on page": -1.521,
    "negated otherwise": -3.489,
    "negative alone": -4.915,
    "length": -2.122,
    "literal": 4.633,
    "beside names and numbers": 0.8477,
}
