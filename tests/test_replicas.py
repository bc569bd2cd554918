"""Replicas over a server of the Redis protocol that fails or forgets; replicas that die; and what the server sees."""

import logging
from contextlib import closing
from dataclasses import replace

import anyio
import pytest
from pydantic import SecretStr
from redis import Redis

from agent.build import open_tools
from agent.errors import BadSettings
from agent.key_limits import KeyLimits
from retrieval.backoff import Backoff
from retrieval.errors import NoPlace
from retrieval.limits import BackoffLimits, SharedLimits
from retrieval.shared_redis import Lease, RedisStore
from tests.test_build import settings
from tests.test_cache import redis_server
from tests.test_faults import Wire
from tests.test_key_limits import quiet_storage  # noqa: F401  (a fixture)
from tests.test_shared import LIMITS, replica

pytestmark = pytest.mark.anyio

LIVELY = replace(LIMITS, beat_seconds=0.02)
# Short enough that a test may wait for it.
HASTY = SharedLimits(wait_seconds=1.0, beat_seconds=0.02, look_seconds=0.01)
SECRET = "s3cret"
PLACES, NOTES = "wellread:shared:place:*", "wellread:shared:note:*"


@pytest.fixture
def redis_port():
    with redis_server() as port:
        yield port


@pytest.fixture
def redis(redis_port):
    with closing(Redis(port=redis_port, decode_responses=True)) as client:
        yield client


async def until(true):
    """Wait until something that is looked at turns true."""
    with anyio.fail_after(30):
        while not true():  # noqa: ASYNC110  (another process does it)
            await anyio.sleep(0.01)


def leases(redis):
    """Give when the leases of all places end, by their holders."""
    return {holder: ends for name in redis.keys(PLACES) for holder, ends in redis.zrange(name, 0, -1, withscores=True)}


# ---- leases


async def test_what_is_held_is_renewed_as_long_as_it_is(redis_port, redis):
    async with replica(redis_port, LIVELY) as one:
        async with one.place("host", 1):
            ((holder, ends),) = leases(redis).items()
            await until(lambda: leases(redis)[holder] > ends)
        await until(lambda: not leases(redis))


async def test_who_leaves_gives_back_what_it_held(redis_port, redis):
    async with replica(redis_port) as one, one.place("host", 2), one.place("host", 2):
        assert len(leases(redis)) == 2
    assert not leases(redis)


async def test_the_places_of_a_replica_that_died_end(redis_port, redis):
    dead = await anyio.to_thread.run_sync(
        RedisStore, f"redis://127.0.0.1:{redis_port}/0", replace(LIMITS, lease_seconds=0.3)
    )
    assert await dead.take(Lease("host", 2, "dead"))
    await dead.aclose()
    async with replica(redis_port) as other:
        with anyio.fail_after(30):
            async with other.place("host", 2), other.place("host", 2):
                assert "dead" not in leases(redis)


class Pausing(RedisStore):
    """A store whose renewals wait until they are let go on."""

    renewing = go_on = None

    async def renew(self, leases):
        if leases and self.go_on:
            self.renewing.set()
            await self.go_on.wait()
        await super().renew(leases)


async def test_what_is_given_back_while_it_is_renewed_is_not_held_again(redis_port, redis):
    async with replica(redis_port, LIVELY, Pausing) as one:
        store = one._store
        async with one.place("host", 1):
            store.renewing, store.go_on = anyio.Event(), anyio.Event()
            with anyio.fail_after(30):
                await store.renewing.wait()
        await until(lambda: not leases(redis))
        store.go_on.set()
        store.go_on = None
        await until(lambda: not leases(redis))
        async with one.place("host", 1, wait=False):
            pass


async def test_a_place_taken_twice_by_one_that_lost_the_reply_is_one(redis_port):
    async with replica(redis_port) as one:
        lease = Lease("host", 1, "holder")
        assert [await one._store.take(lease) for _ in range(2)] == [True, True]
        assert not await one._store.take(replace(lease, holder="other"))


# ---- outages


async def use(replica):
    """Use all that is shared; give what came of it."""
    await replica.change("noted", lambda note: "x", 600)
    async with replica.place("place", 1, wait=False):
        with pytest.raises(NoPlace):
            async with replica.place("place", 1, wait=False):
                pytest.fail("a second place of one")
    counted = [await replica.hit("minute", 1) for _ in range(2)]
    return (await replica.note("noted")).text, counted, (await replica.minute("minute", 1)).remaining


@pytest.mark.parametrize("fault", ["refused", "silent", "garbage", "cut off"])
async def test_in_an_outage_each_goes_on_alone_and_afterwards_together(redis_port, redis, caplog, fault):
    wire = Wire(redis_port)
    await wire.set(None)
    async with replica(wire._port, HASTY) as one:
        await one.change("before", lambda note: "known", 600)
        assert await one.hit("before", 1)
        await wire.set(fault)
        assert (await one.note("before")).text == "known"
        assert not await one.hit("before", 1)
        assert await use(one) == ("x", [True, False], 0)
        assert one.trouble == "does not answer: this process counts for itself"
        redis.flushall()
        async with one.place("held", 1):
            await wire.set(None)
            await until(lambda: not one.trouble)
            assert len(leases(redis)) == 1
            assert len(redis.keys(NOTES)) == 2
        async with replica(wire._port, HASTY) as other:
            assert [(await other.note(name)).text for name in ("before", "noted")] == ["known", "x"]
        await wire.set("refused")
    told = [record.getMessage() for record in caplog.records if record.name == "retrieval.replicas"]
    assert told[0].startswith(
        f"what replicas share cannot be had, and this one counts for itself: redis://127.0.0.1:{wire._port}"
    )
    assert told[1] == "what replicas share can be had again"


class Counting(RedisStore):
    """A store that counts how often it is asked for a note."""

    asked = 0

    async def read(self, name):
        self.asked += 1
        return await super().read(name)


async def test_while_the_store_is_known_to_be_down_nobody_waits_for_it(redis_port):
    wire = Wire(redis_port)
    await wire.set(None)
    async with replica(wire._port, replace(HASTY, beat_seconds=600), Counting) as one:
        await wire.set("silent")
        for _ in range(5):
            assert (await one.note("any")).text is None
        assert one._store.asked == 1
        await wire.set("refused")


async def test_connections_that_were_closed_while_they_idled_are_no_outage(redis_port):
    wire = Wire(redis_port)
    await wire.set(None)
    async with replica(wire._port, replace(HASTY, beat_seconds=600)) as one:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(one.note, "any")
            assert not one.trouble
            # Closes every connection, and takes new ones.
            await wire.set(None)
            await anyio.wait_all_tasks_blocked()
        await wire.set("refused")


async def test_a_store_that_forgets_its_scripts_is_told_them_again(redis_port, redis):
    async with replica(redis_port) as one:
        assert (await use(one))[0] == "x"
        redis.script_flush()
        redis.flushall()
        assert (await use(one))[0] == "x"
        assert not one.trouble


# ---- what is seen


async def test_the_store_sees_neither_keys_nor_sites(redis_port, redis):
    async with replica(redis_port) as one:
        limits = KeyLimits(2, 2, lambda: one)
        await Backoff(BackoffLimits(), one).note("https://private.example", 429, "600")
        async with limits.asking(SECRET), one.place("site private.example", 4):
            names = redis.keys()
            assert len(names) == 4
            held = str([(name, redis.type(name), values(redis, name)) for name in names])
    assert SECRET not in held
    assert "private" not in held


def values(redis, name):
    """Give all that stands under a name."""
    match redis.type(name):
        case "string":
            return redis.get(name)
        case "zset":
            return redis.zrange(name, 0, -1)
        case "list":
            return redis.lrange(name, 0, -1)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"redis://me:{SECRET}@127.0.0.1:9/0?password={SECRET}", "redis://127.0.0.1:9: "),
        (f"redis://:{SECRET}/word@host/0", "no Redis address"),
        (f"redis://127.0.0.1:9/0?db={SECRET}", "no Redis address"),
        (f"http://{SECRET}", "no Redis address"),
    ],
)
async def test_a_store_that_is_not_there_stops_the_start_and_shows_no_password(caplog, address, said):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BadSettings, match=f"WELLREAD_SHARED: {said}") as caught:
        async with open_tools(settings("sample", shared=SecretStr(address))):
            pass
    assert "Name another server, or unset it." in str(caught.value)
    assert SECRET not in str(caught.value) + caplog.text


async def test_what_is_shared_is_told_of_with_what_answers_can_do_without(redis_port):
    wire = Wire(redis_port)
    await wire.set(None)
    async with open_tools(
        settings("local", local_dir=".", shared=SecretStr(f"redis://127.0.0.1:{wire._port}/0"))
    ) as tools:
        assert tools.degraded() == {}
        assert (await tools.upstreams())["shared"]
        await wire.set("refused")
        await tools.shared.note("any")
        assert tools.degraded() == {"shared": "does not answer: this process counts for itself"}
        assert not (await tools.upstreams())["shared"]


async def test_without_an_address_nothing_is_shared():
    async with open_tools(settings("local", local_dir=".")) as tools:
        assert "shared" not in tools.dispensable
        assert "shared" not in await tools.upstreams()
