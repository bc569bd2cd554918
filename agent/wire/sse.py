"""JSON and events of a stream, as bytes."""

import json
from typing import Any

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
# JSON leaves these raw, and clients that read a stream by str.splitlines() would break a line at them.
LINE_BREAKS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}


def sse(data: Json, kind: str = "") -> bytes:
    """Write one event of a stream; `kind` names it, where the API at hand names its events."""
    return (f"event: {kind}\n".encode() if kind else b"") + b"data: " + dump(data) + b"\n\n"


def dump(data: Json) -> bytes:
    """Write JSON on one line. Half characters, which no decoder takes, become question marks."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(LINE_BREAKS).encode("utf-8", "replace")
