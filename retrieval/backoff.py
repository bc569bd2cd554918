"""Remembers which origins asked to be left alone, and until when; by what replicas share, so that all of them do.

An origin that answers 429 or 503 is not asked again before its Retry-After is over (RFC 9110, section 10.2.3), or for a
short while when it names no time it means. What an origin may ask for is bounded.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from retrieval.limits import BackoffLimits
from retrieval.shared import Shared

TOLD_TO_WAIT = frozenset({429, 503})
SECONDS = re.compile(r"[0-9]{1,12}")


class Backoff:
    """Which origins wait until when. `clock` gives Unix seconds."""

    def __init__(self, limits: BackoffLimits, shared: Shared, clock: Callable[[], float] = time.time) -> None:
        self._limits, self._shared, self._clock = limits, shared, clock

    async def note(self, origin: str, status: int, retry_after: str | None) -> None:
        """Take notice of a reply. `retry_after` is the header as it came."""
        if status not in TOLD_TO_WAIT:
            return
        wait = wait_seconds(retry_after, self._clock(), self._limits)
        if wait > 0:
            await self._shared.change(_name(origin), lambda _: str(status), wait)

    async def until(self, origin: str) -> float | None:
        """Return when an origin may be asked again, in Unix seconds; None when it may be asked now."""
        note = await self._shared.note(_name(origin))
        return None if note.text is None else self._clock() + note.left_seconds


def _name(origin: str) -> str:
    return f"wait {origin}"


def wait_seconds(retry_after: str | None, now: float, limits: BackoffLimits) -> float:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from 0 to the longest wait."""
    asked = _asked_seconds((retry_after or "").strip(), now)
    return limits.default_wait_seconds if asked is None else min(max(asked, 0.0), limits.max_wait_seconds)


def _asked_seconds(text: str, now: float) -> float | None:
    if SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # An HTTP date is in GMT, whatever it says.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now


def clock_time(seconds: float) -> str:
    """Write Unix seconds as people read them: 2026-01-31 23:59:59 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
