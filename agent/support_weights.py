"""The weights of `agent.support`, by feature, and the score from which on a claim counts as supported.

Written by tests/benchmarks/fit_support.py.
"""

SUPPORTED = 0.581
INTERCEPT = 1.401
WEIGHTS = {
    "words": 1.229,
    "words on page": 3.735,
    "rarest missing": 0.7608,
    "numbers missing": -1.384,
    "numbers not on page": -2.835,
    "names missing": -2.6,
    "names not on page": -1.883,
    "negated otherwise": -2.614,
    "negative alone": -4.584,
    "weakest part": -0.07454,
    "length": -2.203,
    "literal": 5.064,
    "beside names and numbers": 0.6572,
}
