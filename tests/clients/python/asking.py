"""What every Python client is made to do: the questions, and how its doings are told to the test."""

import json
import os
import sys

BASE = os.environ["WELLREAD_BASE"]
KEY = os.environ["WELLREAD_KEY"]
MODEL, UNKNOWN = "wellread", "no-such-model"
QUESTION = os.environ["WELLREAD_QUESTION"]
BREAKS = os.environ["WELLREAD_BREAKS"]


def failure(error: BaseException) -> dict:
    """Tell what was raised, by the names of its classes."""
    return {"kinds": [kind.__name__ for kind in type(error).__mro__], "message": str(error)}


def tell(**doings: object) -> None:
    """Tell the test what was seen."""
    sys.stdout.write("\n" + json.dumps(doings))
