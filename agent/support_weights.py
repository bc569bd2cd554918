"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""

SUPPORTED = 0.607
INTERCEPT = 2.382
WEIGHTS = {
    "words": 0.615,
    "words on page": 3.479,
    "numbers missing": -1.729,
    "numbers not on page": -2.985,
    "names missing": -2.428,
    "names not on page": -1.473,
    "negated otherwise": -2.698,
    "negative alone": -4.536,
    "length": -2.166,
    "literal": 4.695,
    "beside names and numbers": 0.6149,
}
