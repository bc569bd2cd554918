"""How long a search engine is left alone after a failure: a back-off that grows, and that a success ends.

A `PatientEngine` lives as long as the server, so what one request learns spares the next, and those of the replicas
that share it. Requests count by when they were sent: those under way together fail together, and that is one failure;
what was sent before a refusal proves nothing by succeeding.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from retrieval.errors import EngineCooling, EngineError, EngineRefused
from retrieval.limits import CooldownLimits
from retrieval.search import SearchEngine
from retrieval.shared import InProcess, Note, Shared
from retrieval.types import Hit, Query

# Beyond so many doublings every back-off has long reached its longest.
DOUBLINGS = 32


@dataclass(slots=True)
class Cooldown:
    """The failures of one engine. Pure: every time is the caller's, in seconds of one clock."""

    limits: CooldownLimits = field(default_factory=CooldownLimits)
    error: str = ""
    _refused: bool = False
    _failures: int = 0
    _failed_at: float = -math.inf
    _until: float = -math.inf

    @classmethod
    def read(cls, text: str | None, limits: CooldownLimits) -> "Cooldown":
        """Read what `written` wrote."""
        error, refused, failures, failed_at, until = json.loads(text) if text else ("", False, 0, -math.inf, -math.inf)
        return cls(limits, error, refused, failures, failed_at, until)

    def written(self) -> str | None:
        """Write it down; None where it never failed."""
        if self._failed_at == -math.inf:
            return None
        return json.dumps([self.error, self._refused, self._failures, self._failed_at, self._until])

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
    """An engine that is left alone for a while after it failed, by this process or by all that share what they know.

    `clock` gives seconds that never run back.
    """

    def __init__(
        self,
        engine: SearchEngine,
        limits: CooldownLimits,
        shared: Shared | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._limits, self._clock = engine, limits, clock
        self._shared = shared or InProcess(clock=clock)
        self._note_name = f"engine {engine.name}"
        self._last = Cooldown(limits)
        # How far the clock of what is shared is ahead of ours.
        self._ahead = 0.0
        self._asked = False

    @property
    def name(self) -> str:
        """The engine's own name."""
        return self._engine.name

    @property
    def cooling(self) -> str | None:
        """How it failed and when it is asked again, or None when it may be asked now; as last seen."""
        left = self._last.seconds_left(self._clock() + self._ahead)
        return f"{self._last.error}; asked again in {math.ceil(left)} s" if left else None

    @property
    def health(self) -> str:
        """What to tell people: "ok", "not asked yet", or what is wrong."""
        if cooling := self.cooling:
            return f"cooling: {cooling}"
        if self._last.error:
            return f"failed last: {self._last.error}"
        return "ok" if self._asked else "not asked yet"

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Ask the engine. Raises its EngineError, or EngineCooling without asking it."""
        note = await self._shared.note(self._note_name)
        self._see(note)
        if cooling := self.cooling:
            raise EngineCooling(cooling)
        sent, self._asked = note.now, True
        try:
            hits = await self._engine.search(query, page)
        except EngineError as error:
            await self._failed(error, sent)
            raise
        except anyio.get_cancelled_exc_class():
            await self._given_up(sent)
            raise
        await self._note(lambda cooldown, _: cooldown.succeeded(sent))
        return hits

    def _see(self, note: Note) -> None:
        self._last, self._ahead = Cooldown.read(note.text, self._limits), note.now - self._clock()

    async def _note(self, happened: Callable[[Cooldown, float], None]) -> None:
        """Let something happen to the cool-down that all share; `happened` is told what time it is."""

        def changed(note: Note) -> str | None:
            cooldown = Cooldown.read(note.text, self._limits)
            happened(cooldown, note.now)
            return cooldown.written()

        self._see(await self._shared.change(self._note_name, changed, self._limits.kept_seconds))

    async def _failed(self, error: EngineError, sent: float) -> None:
        await self._note(lambda cooldown, now: cooldown.failed(error, sent, now))

    async def _given_up(self, sent: float) -> None:
        """Count a request that was cancelled as a failure, if the engine had its time."""
        took = self._clock() + self._ahead - sent
        if took >= self._limits.silent_seconds:
            # What is shared takes no longer than its own limit.
            with anyio.CancelScope(shield=True):
                await self._failed(EngineError(f"no answer within {took:.0f} s"), sent)
