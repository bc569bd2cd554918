"""Keeps the records of runs for a while, in memory: what was planned, read, given to the model and checked, or why not.

Only the owner of a run is given its record. Knows no form of a record: it is kept as it will be told, so that its size
is known to the byte.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from agent.errors import AgentError
from agent.kept import Kept
from agent.types import Answer, Event, Plan, Progress, Reading, Thinking

MOST_BYTES: Final = 30_000_000
# What keeping a record takes besides itself.
ENTRY_BYTES: Final = 500


@dataclass(frozen=True, slots=True)
class Run:
    """One run as far as it came; `plan` and `reading` are None where nothing was searched.

    `began` is in Unix seconds; `seconds` count from the request to the end of the work, waiting for a seat included.
    """

    id: str
    began: float
    seconds: float = 0.0
    steps: tuple["Step", ...] = ()
    plan: Plan | None = None
    reading: Reading | None = None
    answer: Answer | None = None
    error: AgentError | None = None

    @property
    def status(self) -> Literal["completed", "failed", "abandoned"]:
        """Tell how it ended; what ended with neither an answer nor an error was left by its client."""
        if self.answer is not None:
            return "completed"
        return "abandoned" if self.error is None else "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """What a run told, or began to tell, so many seconds after it had begun."""

    seconds: float
    told: Progress | Literal["reasoning", "answer"]


class RunNotes:
    """Notes what a run tells on its way, and hands the run over once, when it ends."""

    def __init__(self, run_id: str, keep: Callable[[Run], None]) -> None:
        self.run_id = run_id
        self._keep = keep
        self._start = time.monotonic()
        self._run: Run | None = Run(run_id, time.time())
        self._steps: list[Step] = []
        self._begun: set[str] = set()

    def take(self, event: Event) -> None:
        """Note what an event tells. An answer ends the run before its client is told: it may ask at once."""
        if self._run is None:
            return
        self._note_step(event)
        if isinstance(event, Progress):
            reading = event.reading or self._run.reading
            self._run = replace(self._run, plan=event.plan or self._run.plan, reading=reading)
        elif isinstance(event, Answer):
            self._run = replace(self._run, answer=event)
            self.end()

    def _note_step(self, event: Event) -> None:
        begins: Literal["reasoning", "answer"] = "reasoning" if isinstance(event, Thinking) else "answer"
        if isinstance(event, Progress):
            self._steps.append(Step(time.monotonic() - self._start, event))
        elif begins not in self._begun:
            self._begun.add(begins)
            self._steps.append(Step(time.monotonic() - self._start, begins))

    def end(self, error: AgentError | None = None) -> None:
        """End the run, unless it has ended; one without an answer or an error was left by its client."""
        run, self._run = self._run, None
        if run is not None:
            seconds = time.monotonic() - self._start
            self._keep(replace(run, seconds=seconds, steps=tuple(self._steps), error=error))


class Runs:
    """The records of the runs of the last `seconds`, at most `most_bytes` of them, as `write` writes them; 0: none.

    An answer that is given again, to a client that repeats its request by itself, is no run of its own: its id leads to
    the record of the run that made it, which names that run's id.
    """

    def __init__(self, seconds: float, write: Callable[[Run], bytes], most_bytes: int = MOST_BYTES) -> None:
        self.kept_here = seconds > 0
        self._write = write
        self._kept: Kept[tuple[str, str], bytes] = Kept(seconds, most_bytes, _bytes)

    def begin(self, owner: str, run_id: str) -> RunNotes | None:
        """Begin to note a run; None where none is kept."""
        return RunNotes(run_id, lambda run: self._keep(owner, run)) if self.kept_here else None

    def again(self, owner: str, run_id: str, new_id: str) -> None:
        """Let a further id lead to the record of a run."""
        record = self.of(owner, run_id)
        if record is not None:
            self._kept.keep((owner, new_id), record)

    def of(self, owner: str, run_id: str) -> bytes | None:
        """Return the record that an owner may see under an id."""
        return self._kept.of((owner, run_id))

    def _keep(self, owner: str, run: Run) -> None:
        self._kept.keep((owner, run.id), self._write(run))


def _bytes(record: bytes) -> int:
    return len(record) + ENTRY_BYTES
