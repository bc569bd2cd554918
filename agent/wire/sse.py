"""JSON and events of a stream, as bytes."""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
# JSON leaves these raw, and clients that read a stream by str.splitlines() would break a line at them.
LINE_BREAKS = tuple((character.encode(), f"\\u{ord(character):04x}".encode()) for character in "\x85\u2028\u2029")
# Stands for the text of a pattern; no text of ours holds it.
BLANK = "\0blank\0"


def sse(data: Json, kind: str = "") -> bytes:
    """Write one event of a stream; `kind` names it, where the API at hand names its events."""
    return (f"event: {kind}\n".encode() if kind else b"") + b"data: " + dump(data) + b"\n\n"


class Pattern:
    """An event that is written for every token: made once, with BLANK where the token's text comes."""

    def __init__(self, data: Json) -> None:
        self._parts = sse(data).split(dump(BLANK))

    def event(self, text: str) -> bytes:
        """Write the event with a text."""
        return dump(text).join(self._parts)


def dump(data: Json | str) -> bytes:
    """Write JSON on one line. Half characters, which no decoder takes, become question marks."""
    try:
        written = to_json(data)
    except PydanticSerializationError:  # half a character, or what is no JSON at all: then this raises too
        written = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    for character, escaped in LINE_BREAKS:
        written = written.replace(character, escaped)
    return written
