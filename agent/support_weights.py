"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""

SUPPORTED = 0.615
INTERCEPT = 2.288
WEIGHTS = {
    "words": 0.5782,
    "words on page": 3.613,
    "numbers missing": -1.564,
    "numbers not on page": -3.019,
    "names missing": -2.433,
    "names not on page": -1.786,
    "negated otherwise": -2.658,
    "negative alone": -4.574,
    "length": -2.161,
    "literal": 4.946,
    "beside names and numbers": 0.6035,
}
