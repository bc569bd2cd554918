"""The coverage record as it appears wherever it appears: in replies, in streams, in the log, for people."""

from collections.abc import Mapping
from typing import Any

from agent.types import Coverage
from agent.wire.sse import Json


def coverage_body(coverage: Coverage) -> Json:
    """Write the honest record; the same object wherever it appears."""
    return {
        "found": coverage.found,
        "asked": coverage.asked,
        "read": coverage.read,
        "cached": coverage.cached,
        "used": coverage.used,
        "cited": coverage.cited,
        "skipped": coverage.skipped,
        "pages": [
            {"url": p.url, "status": p.status, "reason": p.reason, "ms": p.ms, "bytes": p.bytes, "chars": p.chars}
            | ({"cached": True} if p.cached else {})
            for p in coverage.pages
        ],
        "engines": [
            {"name": e.name, "status": e.status, "results": e.results, "ms": e.ms}
            | ({"reason": e.error} if e.error else {})
            for e in coverage.engines
        ],
        "rounds": coverage.rounds,
        "deadline_hit": coverage.deadline_hit,
        "notes": list(coverage.notes),
    }


def coverage_line(coverage: Mapping[str, Any]) -> str:
    """Say the record in one line, for people."""
    line = f"{coverage['found']} found, {coverage['asked']} asked, {coverage['read']} read"
    line += f" ({coverage['cached']} from the cache)" if coverage.get("cached") else ""
    line += f", {coverage['used']} used, {coverage['cited']} cited"
    skipped = ", ".join(f"{count} {reason}" for reason, count in coverage["skipped"].items())
    return f"{line}; skipped: {skipped}" if skipped else line
