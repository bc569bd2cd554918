"""What replicas share: for one process and in a server of the Redis protocol alike; and what comes of it where used."""

from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RateLimited
from agent.key_limits import KeyLimits
from retrieval.cooldown import Cooldown, PatientEngine
from retrieval.errors import EngineCooling, EngineError, EngineRefused, NoPlace
from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from retrieval.limits import CooldownLimits, FetchLimits, SharedLimits
from retrieval.replicas import Replicas
from retrieval.shared import InProcess
from retrieval.shared_redis import RedisStore
from retrieval.types import Hit, Query, Skipped
from tests.test_cache import redis_server
from tests.test_key_limits import quiet_storage  # noqa: F401  (a fixture)

pytestmark = pytest.mark.anyio

# A busy machine is no outage.
LIMITS = SharedLimits(wait_seconds=10.0, look_seconds=0.01)
FETCH = FetchLimits(page_seconds=20.0)
REFUSAL = EngineRefused("answered 429: too many requests")


@pytest.fixture
def redis_port():
    with redis_server() as port:
        yield port


@asynccontextmanager
async def replica(port, limits=LIMITS, made=RedisStore):
    """Open one replica's share of a server."""
    # In a thread, as in the product.
    store = await anyio.to_thread.run_sync(made, f"redis://127.0.0.1:{port}/0", limits)
    async with Replicas(store, limits) as opened:
        yield opened


@pytest.fixture(params=["in process", "in redis"])
async def shared(request, redis_port):
    if request.param == "in process":
        yield InProcess(LIMITS)
        return
    async with replica(redis_port) as opened:
        yield opened


@pytest.fixture
async def pair(redis_port):
    """Two replicas over one server."""
    async with replica(redis_port) as one, replica(redis_port) as other:
        yield one, other


# ---- notes


async def test_a_note_says_what_was_put_down_last_and_for_how_long_yet(shared):
    assert (await shared.note("a")).text is None
    first = await shared.change("a", lambda note: "Küche" if note.text is None else "wrong", 60)
    assert (first.text, first.left_seconds) == ("Küche", 60)
    second = await shared.change("a", lambda note: f"{note.text}!", 90)
    read = await shared.note("a")
    assert (read.text, second.text) == ("Küche!", "Küche!")
    assert 60 < read.left_seconds <= 90
    assert first.now <= second.now <= read.now
    assert (await shared.change("a", lambda note: None, 60)).text is None
    assert (await shared.note("a")).text is None


async def test_a_note_ends_by_itself(shared):
    await shared.change("ends", lambda note: "x", 0.01)
    with anyio.fail_after(10):
        while (await shared.note("ends")).text is not None:  # noqa: ASYNC110  (it ends by itself)
            await anyio.sleep(0.005)


NOTES = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 90), st.integers(0, 30)))


@given(NOTES)
def test_of_too_many_notes_those_go_that_end_first(notes):
    now, ends = 0.0, {}
    shared = InProcess(SharedLimits(notes=3), lambda: now)
    for name, seconds, passing in notes:
        shared.keep(name, "x", seconds)
        ends[name] = now + seconds
        if len(ends) > 3:
            del ends[min(ends, key=ends.__getitem__)]
        now += passing
        lasting = {name: end - now for name, end in ends.items() if end > now}
        assert {name: left for name, _, left in shared.lasting()} == lasting


async def test_of_changes_at_once_none_is_lost(pair):
    async def count(each):
        for _ in range(10):
            await each.change("count", lambda note: str(int(note.text or "0") + 1), 60)

    async with anyio.create_task_group() as tasks:
        for each in pair * 2:
            tasks.start_soon(count, each)
    assert [(await each.note("count")).text for each in pair] == ["40", "40"]


# ---- places


async def test_of_so_many_places_no_more_are_held(shared):
    async with shared.place("p", 2, wait=False), shared.place("p", 2, wait=False):
        with pytest.raises(NoPlace):
            async with shared.place("p", 2, wait=False):
                pytest.fail("a third place of two")
        async with shared.place("another", 2, wait=False):
            pass
    async with shared.place("p", 2, wait=False):
        pass


async def test_who_waits_gets_a_place_when_there_is_one(shared):
    order = []

    async def held(number):
        async with shared.place("w", 1):
            order.append(number)
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(held, number)
    assert order == [0, 1, 2, 3, 4]


async def test_who_gives_up_waiting_keeps_nobody_from_a_place(shared):
    async with shared.place("g", 1):
        with anyio.move_on_after(0.02):
            async with shared.place("g", 1):
                pytest.fail("a second place of one")
    with anyio.fail_after(10):
        async with shared.place("g", 1):
            pass


async def test_places_are_counted_over_all_replicas(pair):
    inside = most = 0
    full = anyio.Event()

    async def held(each):
        nonlocal inside, most
        async with each.place("host", 4):
            inside += 1
            most = max(most, inside)
            if inside == 4:
                full.set()
            # The first stay until all places are taken: a busy machine may take longer to give one than to use it.
            await full.wait()
            await anyio.sleep(0.002)
            inside -= 1

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for each in pair * 15:
                tasks.start_soon(held, each)
    assert most == 4


# ---- moving minutes


async def test_of_a_minute_so_many_are_counted(shared):
    assert (await shared.minute("m", 2)).remaining == 2
    assert [await shared.hit("m", 2) for _ in range(3)] == [True, True, False]
    minute = await shared.minute("m", 2)
    assert minute.remaining == 0
    assert 0 < minute.reset_seconds <= 60
    assert (await shared.minute("n", 2)).remaining == 2


# ---- engines


LONG = CooldownLimits(refused_first_seconds=30, refused_most_seconds=200, silent_seconds=4)
ERRORS = st.one_of(
    st.just(EngineError("answered 500")),
    st.integers(0, 10**4).map(lambda seconds: EngineRefused("нет", seconds)),
)
EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), ERRORS), st.integers(0, 50), st.integers(0, 5)), max_size=20
)


@dataclass
class Obedient:
    """An engine that does as told after some time, and counts how often it was asked."""

    outcome: Exception | None = None
    took: float = 0.0
    pass_time: object = None
    name: str = "obedient"
    asked: int = 0

    async def search(self, query, page):
        self.asked += 1
        if self.pass_time:
            self.pass_time(self.took)
        if self.outcome:
            raise self.outcome
        return ()


@given(EVENTS)
def test_what_is_written_of_a_cool_down_is_read_again(events):
    cooldown, now = Cooldown(LONG), 0.0
    for _, error, pause, took in events:
        sent, now = now + pause, now + pause + took
        if error is None:
            cooldown.succeeded(sent)
        else:
            cooldown.failed(error, sent, now)
        assert Cooldown.read(cooldown.written(), LONG) == cooldown


@given(EVENTS)
def test_three_replicas_leave_an_engine_alone_as_one_would(events):
    """Whoever asks next, an engine is asked when, and only when, one process that asked all of it would ask it."""
    now = 0.0

    def passes(seconds):
        nonlocal now
        now += seconds

    async def asked():
        shared = InProcess(clock=lambda: now)
        engines = [Obedient(pass_time=passes) for _ in range(3)]
        patient = [PatientEngine(engine, LONG, shared, lambda: now) for engine in engines]
        alone = Cooldown(LONG)
        for number, error, pause, took in events:
            passes(pause)
            sent, engines[number].outcome, engines[number].took = now, error, took
            before = sum(engine.asked for engine in engines)
            with suppress(EngineError):
                await patient[number].search(Query("q"), 1)
            told = sum(engine.asked for engine in engines) > before
            assert told == (not alone.seconds_left(sent))
            if told and error is None:
                alone.succeeded(sent)
            elif told:
                alone.failed(error, sent, now)
            assert patient[number]._last == alone

    anyio.run(asked)


async def test_what_refuses_one_replica_is_left_alone_by_the_other(pair):
    refusing, other = Obedient(REFUSAL), Obedient()
    first, second = (PatientEngine(each, LONG, share) for each, share in zip((refusing, other), pair, strict=True))
    assert await second.search(Query("q"), 1) == ()
    with pytest.raises(EngineRefused):
        await first.search(Query("q"), 1)
    with pytest.raises(EngineCooling, match="answered 429: too many requests; asked again in"):
        await second.search(Query("q"), 1)
    assert other.asked == 1
    assert second.health.startswith("cooling: answered 429")


async def test_a_success_ends_it_for_all(pair):
    short = replace(LONG, refused_first_seconds=0.01)
    refusing, other = Obedient(REFUSAL), Obedient()
    first, second = (PatientEngine(each, short, share) for each, share in zip((refusing, other), pair, strict=True))
    with pytest.raises(EngineRefused):
        await first.search(Query("q"), 1)
    with anyio.fail_after(10):
        while not other.asked:
            await anyio.sleep(0.01)
            try:
                await second.search(Query("q"), 1)
            except EngineCooling:
                continue
    refusing.outcome = None
    assert await first.search(Query("q"), 1) == ()
    assert (first.health, second.health) == ("ok", "ok")


# ---- sites


def fetcher(web, shared):
    return Fetcher(Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),)), FETCH, None, shared)


async def read_at_once(web, *shares):
    """Fetch many pages of one host by several fetchers; tell how many the host was asked for at once."""
    urls = [web.page(f"/{number}", b"x", delay=0.03) for number in range(12)]
    async with AsyncExitStack() as stack:
        fetchers = [await stack.enter_async_context(each) for each in [fetcher(web, share) for share in shares]]
        async with anyio.create_task_group() as tasks:
            for url in urls:
                for each in fetchers:
                    tasks.start_soon(each.fetch, Hit(url, "T"))
    assert web.hits.total() == len(urls) * len(shares)
    return web.most_open


async def test_a_host_gets_few_fetches_at_once_from_all_replicas(web, pair):
    assert await read_at_once(web, *pair) == FETCH.per_host


async def test_replicas_that_share_nothing_ask_a_host_for_more(web):
    assert await read_at_once(web, InProcess(), InProcess()) > FETCH.per_host


async def test_a_site_that_asked_one_replica_to_wait_is_left_alone_by_the_other(web, pair):
    url = web.page("/busy", b"later", status=429, headers=(("Retry-After", "600"),))
    async with fetcher(web, pair[0]) as one, fetcher(web, pair[1]) as other:
        first, second = await one.fetch(Hit(url, "T")), await other.fetch(Hit(url, "T"))
    assert isinstance(first, Skipped)
    assert isinstance(second, Skipped)
    assert (first.detail, second.detail[:31]) == ("status 429", "the site asked to wait until 20")
    assert web.hits["/busy"] == 1


# ---- keys


async def asked_once(limits):
    async with limits.asking("a") as left:
        return left


async def test_requests_of_a_minute_are_counted_over_all_replicas(pair):
    limits = [KeyLimits(3, None, lambda share=share: share) for share in pair]
    assert [(await asked_once(limits[turn])).remaining for turn in (0, 1, 0)] == [2, 1, 0]
    for each in limits:
        with pytest.raises(RateLimited, match="3 requests a minute"):
            await asked_once(each)
        assert (await each.left("a")).remaining == 0


async def test_requests_at_once_are_counted_over_all_replicas(pair):
    one, other = (KeyLimits(None, 1, lambda share=share: share) for share in pair)
    async with one.asking("busy"):
        with pytest.raises(RateLimited, match="1 requests running at once"):
            async with other.asking("busy"):
                pytest.fail("a second request of one at once")
    async with other.asking("busy"):
        pass
