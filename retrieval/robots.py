"""Asks each site's robots.txt whether a page may be fetched (RFC 9309). Knows nothing of sockets.

No such file, or one that may not be read (any 4xx), allows everything. A server error allows nothing (section 2.3.1.4),
and neither does a robots.txt that does not come within `RobotsLimits.seconds`: the RFC counts it as unreachable, a site
too slow to say what it allows is hardly read within one question, and the reserve gives another page. Both are
forgotten soon. Crawl-delay is not obeyed: it is no part of the RFC and meant for robots that walk through a site, while
a question asks for a handful of a site's pages, few at once, and Retry-After is obeyed.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
from protego import Protego

from retrieval import urls
from retrieval.computing import computed
from retrieval.limits import RobotsLimits
from retrieval.types import SkipReason

# What sites write in their robots.txt to mean us; the User-Agent header begins with it.
ROBOT = "Wellread"
AGENT_LINE = re.compile(r"\s*user(?:-|\s+)?agent(?:\s*:|\s|$)\s*(\*(?=\s|#|$)|[a-z_-]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RobotsReply:
    """What a site answered: its final status after redirects, and the first bytes of the file."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a page may not be fetched."""

    reason: SkipReason
    detail: str


# A robots.txt of no more characters is read and asked within a few milliseconds, whatever it holds.
AT_ONCE_CHARS = 8_000
FORBIDDEN = Refusal(SkipReason.ROBOTS, "robots.txt forbids it")


@dataclass(slots=True)
class _Origin:
    """What is known of one origin; `until` is when it must be asked again. The lock keeps it to one fetch at a time."""

    rules: Protego | Refusal | None = None
    until: float = 0.0
    chars: int = 0
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Robots:
    """Reads and remembers robots.txt files; `fetch` gets one by its address and raises when the site is unreachable."""

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[RobotsReply]],
        limits: RobotsLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._limits, self._clock = fetch, limits, clock
        self._origins: OrderedDict[str, _Origin] = OrderedDict()

    async def refusal(self, url: str) -> Refusal | None:
        """Return why a page may not be fetched, or None when it may. Raises what `fetch` raises."""
        name = urls.origin(url)
        origin = self._origins.setdefault(name, _Origin())
        self._origins.move_to_end(name)
        rules = await self._rules(name, origin)
        if isinstance(rules, Refusal):
            return rules
        judge = partial(rules.can_fetch, url, ROBOT)
        # A large file has rules enough to hold up everybody else; a page's time must not run out behind others' work.
        allowed = await computed(judge) if origin.chars > AT_ONCE_CHARS else judge()
        return None if allowed else FORBIDDEN

    async def _rules(self, name: str, origin: _Origin) -> Protego | Refusal:
        """Recall the rules of an origin, or wait for them no longer than a page can spare."""
        with anyio.move_on_after(self._limits.seconds) as late:
            async with origin.lock:
                if origin.rules is None or origin.until <= self._clock():
                    await self._load(name, origin)
        if late.cancelled_caught:
            detail = f"robots.txt did not come within {self._limits.seconds:g} s"
            self._keep(origin, Refusal(SkipReason.TIMEOUT, detail), self._limits.retry_seconds)
        assert origin.rules is not None
        return origin.rules

    async def _load(self, name: str, origin: _Origin) -> None:
        reply = await self._fetch(name + "/robots.txt")
        if reply.status >= 500:
            detail = f"robots.txt answered {reply.status}, which forbids everything"
            self._keep(origin, Refusal(SkipReason.ROBOTS, detail), self._limits.retry_seconds)
            return
        text = reply.body[: self._limits.parsed_bytes].decode("utf-8-sig", "replace") if reply.status < 300 else ""
        rules = await computed(parsed, text) if len(text) > AT_ONCE_CHARS else parsed(text)
        seconds = self._limits.retry_seconds if reply.status == 429 else self._limits.keep_seconds
        self._keep(origin, rules, seconds, len(text))

    def _keep(self, origin: _Origin, rules: Protego | Refusal, seconds: float, chars: int = 0) -> None:
        """Remember rules, and forget those of the origins that were not asked for longest."""
        origin.rules, origin.until, origin.chars = rules, self._clock() + seconds, chars
        kept = sum(known.chars for known in self._origins.values())
        while len(self._origins) > self._limits.origins or (kept > self._limits.kept_chars and len(self._origins) > 1):
            kept -= self._origins.popitem(last=False)[1].chars


def parsed(text: str) -> Protego:
    """Read a robots.txt. Never fails: what is no rule is passed over."""
    return Protego.parse("\n".join(map(_ours_or_other, text.splitlines())))


def _ours_or_other(line: str) -> str:
    """Give all robots but ours one name.

    The parser takes a part of our token for our token, while the RFC wants the whole one; and its time grows with names
    times rules, which a hostile file could make into minutes.
    """
    agent = AGENT_LINE.match(line)
    if agent is None:
        return line
    return f"User-agent: {agent[1] if agent[1].lower() in {'*', ROBOT.lower()} else 'other'}"
