"""How long a search engine is left alone after a failure: a back-off that grows, and that a success ends.

A `PatientEngine` lives as long as the server, so what one request learns spares the next. Requests count by when they
were sent: those under way together fail together, and that is one failure; what was sent before a refusal proves
nothing by succeeding.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from retrieval.errors import EngineCooling, EngineError, EngineRefused
from retrieval.limits import CooldownLimits
from retrieval.search import SearchEngine
from retrieval.types import Hit, Query

# Beyond so many doublings every back-off has long reached its longest.
DOUBLINGS = 32


@dataclass(slots=True)
class Cooldown:
    """The failures of one engine. Pure: every time is the caller's, in seconds of one monotonic clock."""

    limits: CooldownLimits = field(default_factory=CooldownLimits)
    error: str = ""
    _refused: bool = False
    _failures: int = 0
    _failed_at: float = -math.inf
    _until: float = -math.inf

    def seconds_left(self, now: float) -> float:
        """Return how long the engine is still to be left alone; 0 when it may be asked."""
        return max(0.0, self._until - now)

    def succeeded(self, sent: float) -> None:
        """Forget all failures; after a refusal only if the request was sent later."""
        if sent >= self._failed_at or not self._refused:
            self._failures, self._refused, self._until, self.error = 0, False, -math.inf, ""

    def failed(self, error: EngineError, sent: float, now: float) -> None:
        """Begin a cool-down, longer than the one before, or lengthen the one that runs."""
        if sent >= self._failed_at:
            self._failures += 1
            self._failed_at = now
        self._refused = self._refused or isinstance(error, EngineRefused)
        until = now + self._wait(error)
        if until >= self._until:
            self._until, self.error = until, str(error)

    def _wait(self, error: EngineError) -> float:
        limits, doublings = self.limits, min(self._failures - 1, DOUBLINGS)
        told = error.retry_after_seconds if isinstance(error, EngineRefused) else 0.0
        if isinstance(error, EngineRefused) and not told:
            return min(limits.refused_first_seconds * 2.0**doublings, limits.refused_most_seconds)
        return max(
            min(told, limits.told_most_seconds),
            min(limits.fault_first_seconds * 2.0**doublings, limits.fault_most_seconds),
        )


class PatientEngine:
    """An engine that is left alone for a while after it failed. `clock` gives seconds that never run back."""

    def __init__(
        self, engine: SearchEngine, limits: CooldownLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine, self._clock = engine, clock
        self._cooldown = Cooldown(limits)
        self._asked = False

    @property
    def name(self) -> str:
        """The engine's own name."""
        return self._engine.name

    @property
    def cooling(self) -> str | None:
        """How it failed and when it is asked again, or None when it may be asked now."""
        left = self._cooldown.seconds_left(self._clock())
        return f"{self._cooldown.error}; asked again in {math.ceil(left)} s" if left else None

    @property
    def health(self) -> str:
        """What to tell people: "ok", "not asked yet", or what is wrong."""
        if cooling := self.cooling:
            return f"cooling: {cooling}"
        if self._cooldown.error:
            return f"failed last: {self._cooldown.error}"
        return "ok" if self._asked else "not asked yet"

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Ask the engine. Raises its EngineError, or EngineCooling without asking it."""
        if cooling := self.cooling:
            raise EngineCooling(cooling)
        sent, self._asked = self._clock(), True
        try:
            hits = await self._engine.search(query, page)
        except EngineError as error:
            self._cooldown.failed(error, sent, self._clock())
            raise
        except anyio.get_cancelled_exc_class():
            self._given_up(sent)
            raise
        self._cooldown.succeeded(sent)
        return hits

    def _given_up(self, sent: float) -> None:
        """Count a request that was cancelled as a failure, if the engine had its time."""
        now = self._clock()
        if now - sent >= self._cooldown.limits.silent_seconds:
            self._cooldown.failed(EngineError(f"no answer within {now - sent:.0f} s"), sent, now)
