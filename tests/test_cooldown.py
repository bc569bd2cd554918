from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.cooldown import Cooldown, PatientEngine
from retrieval.errors import EngineCooling, EngineError, EngineRefused
from retrieval.limits import CooldownLimits
from retrieval.types import Hit, Query

LIMITS = CooldownLimits(
    refused_first_seconds=30,
    refused_most_seconds=200,
    fault_first_seconds=2,
    fault_most_seconds=10,
    told_most_seconds=3_600,
    silent_seconds=4,
)
FAULT = EngineError("answered 500")
REFUSAL = EngineRefused("answered 429: too many requests")


def waits(error: EngineError, times: int) -> list[float]:
    """Return how long the cool-down is after each failure, each asked as soon as the last one is over."""
    cooldown, now, found = Cooldown(LIMITS), 0.0, []
    for _ in range(times):
        cooldown.failed(error, now, now)
        found.append(cooldown.seconds_left(now))
        now += found[-1]
    return found


def test_the_back_off_grows_to_its_longest():
    assert waits(REFUSAL, 5) == [30, 60, 120, 200, 200]
    assert waits(FAULT, 5) == [2, 4, 8, 10, 10]
    assert waits(FAULT, 2_000)[-1] == 10


def test_what_the_engine_asks_for_is_honored_up_to_a_limit():
    assert waits(EngineRefused("later", 1.0), 3) == [2, 4, 8]
    assert waits(EngineRefused("later", 900.0), 2) == [900, 900]
    assert waits(EngineRefused("later", 1e9), 1) == [3_600]


def test_requests_under_way_together_fail_once():
    cooldown = Cooldown(LIMITS)
    for done in (1.0, 1.1, 1.2):
        cooldown.failed(REFUSAL, 0.0, done)
    assert cooldown.seconds_left(1.2) == 30
    cooldown.succeeded(0.5)
    assert cooldown.seconds_left(1.2) == 30
    cooldown.succeeded(40.0)
    assert cooldown.seconds_left(40.0) == 0
    cooldown.failed(REFUSAL, 41.0, 41.0)
    assert cooldown.seconds_left(41.0) == 30


def test_a_fault_among_successes_is_forgotten():
    cooldown = Cooldown(LIMITS)
    cooldown.failed(FAULT, 0.0, 1.0)
    cooldown.succeeded(0.5)
    assert cooldown.seconds_left(1.1) == 0
    cooldown.failed(REFUSAL, 2.0, 3.0)
    cooldown.failed(FAULT, 2.0, 3.0)
    cooldown.succeeded(2.5)
    assert cooldown.seconds_left(3.0) == 30


def test_a_fault_does_not_shorten_what_a_refusal_began():
    cooldown = Cooldown(LIMITS)
    cooldown.failed(REFUSAL, 0.0, 1.0)
    cooldown.failed(FAULT, 0.0, 2.0)
    assert cooldown.seconds_left(2.0) == 29
    assert cooldown.error == str(REFUSAL)


# Whole seconds, so that sums are exact.
ERRORS = st.one_of(st.just(FAULT), st.integers(0, 10**6).map(lambda seconds: EngineRefused("no", seconds)))
EVENTS = st.lists(st.tuples(st.one_of(st.none(), ERRORS), st.integers(0, 50), st.integers(0, 5)), max_size=30)


@given(EVENTS)
def test_a_cool_down_is_bounded_and_never_shortened_by_a_failure(events):
    cooldown, now = Cooldown(LIMITS), 0.0
    for error, pause, took in events:
        sent, now = now + pause, now + pause + took
        before = cooldown.seconds_left(now)
        if error is None:
            cooldown.succeeded(sent)
            assert cooldown.seconds_left(now) in (0, before)
        else:
            cooldown.failed(error, sent, now)
            assert before <= cooldown.seconds_left(now) <= LIMITS.told_most_seconds
            assert cooldown.seconds_left(now) > 0


@dataclass
class Flaky:
    """An engine that does as told, and counts how often it was asked."""

    outcomes: list[object] = field(default_factory=list)
    name: str = "flaky"
    asked: int = 0

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        outcome = self.outcomes.pop(0) if self.outcomes else ()
        if outcome == "hang":
            await anyio.sleep_forever()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.anyio
async def test_a_cooling_engine_is_not_asked(clock):
    flaky = Flaky([REFUSAL])
    engine = PatientEngine(flaky, LIMITS, clock=clock)
    assert (engine.name, engine.health, engine.cooling) == ("flaky", "not asked yet", None)
    with pytest.raises(EngineRefused):
        await engine.search(Query("q"), 1)
    clock.now += 10
    with pytest.raises(EngineCooling, match="answered 429: too many requests; asked again in 20 s"):
        await engine.search(Query("q"), 1)
    assert flaky.asked == 1
    assert engine.health == "cooling: answered 429: too many requests; asked again in 20 s"
    clock.now += 20
    assert engine.health == "failed last: answered 429: too many requests"
    assert await engine.search(Query("q"), 1) == ()
    assert engine.health == "ok"


@pytest.mark.anyio
async def test_silence_is_a_failure_and_a_hasty_client_is_not(clock):
    engine = PatientEngine(Flaky(["hang", "hang"]), LIMITS, clock=clock)
    for took, cooling in ((1.0, None), (6.0, "no answer within 6 s; asked again in 2 s")):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.search, Query("q"), 1)
            await anyio.wait_all_tasks_blocked()
            clock.now += took
            tasks.cancel_scope.cancel()
        assert engine.cooling == cooling
