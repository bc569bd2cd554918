"""The stores themselves: a SQLite file and a server of the Redis protocol, both real; and how outages are borne."""

import logging
import multiprocessing
import os
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fakeredis import TcpFakeServer
from hypothesis import given
from hypothesis import strategies as st

from retrieval.cache import Cache, TolerantCache, code_version, key
from retrieval.caches.redis import RedisCache, without_credentials
from retrieval.caches.sqlite import SqliteCache
from retrieval.errors import CacheUnavailable
from retrieval.limits import CacheLimits

LIMITS = CacheLimits(wait_seconds=5.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "cache.sqlite"


@pytest.fixture
def sqlite_cache(path, clock) -> Iterator[Cache]:
    with closing(SqliteCache(path, LIMITS, clock)) as cache:
        yield cache


@contextmanager
def redis_server(port: int = 0) -> Iterator[int]:
    """Run a server of the Redis protocol on loopback."""
    server = TcpFakeServer(("127.0.0.1", port))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    with redis_server() as port:
        yield port


@pytest.fixture
def redis_cache(redis_port) -> Iterator[Cache]:
    with closing(RedisCache(f"redis://127.0.0.1:{redis_port}/0", LIMITS)) as cache:
        yield cache


@pytest.fixture(params=["sqlite_cache", "redis_cache"])
def store(request) -> Cache:
    return request.getfixturevalue(request.param)


# Both stores


def test_what_is_put_is_got(store):
    store.put_many({b"a": b"1", b"\x00\xff": b"\x00" * 5000}, 60)
    store.put_many({b"a": b"2"}, 60)
    assert store.get_many([b"a", b"missing", b"\x00\xff"]) == {b"a": b"2", b"\x00\xff": b"\x00" * 5000}


def test_nothing_asked_gives_nothing(store):
    assert store.get_many([]) == {}
    store.put_many({}, 60)


def test_many_at_once(store):
    entries = {key("many", str(number)): str(number).encode() for number in range(1800)}
    store.put_many(entries, 60)
    assert store.get_many(entries) == entries


def test_many_threads_at_once(store):
    def work(number: int) -> bool:
        store.put_many({f"t{number}".encode(): bytes(1000)}, 60)
        return len(store.get_many([f"t{n}".encode() for n in range(number, number + 1)])) == 1

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))


# SQLite


def test_entries_end(sqlite_cache, clock):
    sqlite_cache.put_many({b"short": b"1"}, 10)
    sqlite_cache.put_many({b"long": b"2"}, 100)
    clock.now += 10
    assert sqlite_cache.get_many([b"short", b"long"]) == {b"long": b"2"}


def test_what_has_ended_is_deleted(sqlite_cache, path, clock):
    sqlite_cache.put_many({b"short": b"1"}, 10)
    clock.now += 11
    sqlite_cache.put_many({b"other": b"1"}, 10)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT key FROM entries").fetchall() == [(b"other",)]


def test_the_oldest_make_room(path, clock):
    limits = replace(LIMITS, total_bytes=2_000_000)
    with closing(SqliteCache(path, limits, clock)) as cache:
        names = [key(str(number)) for number in range(1000)]
        for start in range(0, 1000, 50):
            cache.put_many({name: os.urandom(10_000) for name in names[start : start + 50]}, 1000 - start)
        kept = cache.get_many(names)
    assert 20 <= len(kept) <= 200
    assert set(kept) == set(names[-len(kept) :])
    assert path.stat().st_size < 4_000_000


def test_what_is_kept_survives_a_restart_and_is_the_owners_alone(path, clock):
    with closing(SqliteCache(path, LIMITS, clock)) as cache:
        cache.put_many({b"a": b"1"}, 60)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(SqliteCache(path, LIMITS, clock)) as cache:
        assert cache.get_many([b"a"]) == {b"a": b"1"}


def test_after_its_end_a_store_gives_nothing(path, clock):
    cache = SqliteCache(path, LIMITS, clock)
    cache.close()
    cache.put_many({b"a": b"1"}, 60)
    assert cache.get_many([b"a"]) == {}


def fill(path: Path, name: str) -> None:
    with closing(SqliteCache(path, LIMITS)) as cache:
        for number in range(50):
            cache.put_many({key(name, str(number)): name.encode() * 500}, 60)


def test_two_processes_share_a_file(path):
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=fill, args=(path, name)) for name in "ab"]
    for other in others:
        other.start()
    fill(path, "c")
    for other in others:
        other.join(60)
        assert other.exitcode == 0
    with closing(SqliteCache(path, LIMITS)) as cache:
        names = [key(name, str(number)) for name in "abc" for number in range(50)]
        assert len(cache.get_many(names)) == 150


def test_the_file_of_another_program_is_left_alone(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(CacheUnavailable, match="another program"):
        SqliteCache(path, LIMITS)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(path):
    path.parent.mkdir()
    path.write_text("my shopping list " * 100)
    with pytest.raises(CacheUnavailable, match="not a database"):
        SqliteCache(path, LIMITS)
    assert path.read_text() == "my shopping list " * 100


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheUnavailable, match=str(tmp_path)):
        SqliteCache(tmp_path / "file" / "cache.sqlite", LIMITS)


def test_a_file_of_an_older_version_begins_anew(path, clock):
    with closing(SqliteCache(path, LIMITS, clock)) as cache:
        cache.put_many({b"a": b"1"}, 60)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=999")
    with closing(SqliteCache(path, LIMITS, clock)) as cache:
        assert cache.get_many([b"a"]) == {}
        cache.put_many({b"a": b"2"}, 60)
        assert cache.get_many([b"a"]) == {b"a": b"2"}


def test_a_file_that_breaks_while_running_is_unavailable(sqlite_cache, path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE entries")
    with pytest.raises(CacheUnavailable, match=r"cache\.sqlite"):
        sqlite_cache.get_many([b"a"])
    with pytest.raises(CacheUnavailable, match=r"cache\.sqlite"):
        sqlite_cache.put_many({b"a": b"1"}, 60)


def test_who_cannot_write_in_time_is_told_and_harms_nothing(path):
    with (
        closing(SqliteCache(path, replace(LIMITS, wait_seconds=0.05))) as cache,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        cache.put_many({b"a": b"1"}, 60)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CacheUnavailable, match="locked"):
            cache.put_many({b"a": b"2"}, 60)
        assert cache.get_many([b"a"]) == {b"a": b"1"}
        other.execute("COMMIT")
        cache.put_many({b"a": b"3"}, 60)
        assert cache.get_many([b"a"]) == {b"a": b"3"}


# Redis


def test_redis_is_told_when_entries_end(redis_cache, redis_port):
    from redis import Redis

    redis_cache.put_many({b"ends": b"1"}, 90)
    with closing(Redis(port=redis_port)) as redis:
        assert 0 < redis.ttl(b"wellread:ends") <= 90


def test_a_redis_that_is_not_there_is_named_without_its_password():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(CacheUnavailable) as caught:
            RedisCache(f"redis://me:s3cret@127.0.0.1:{port}/0?password=s3cret", LIMITS)
    assert f"redis://127.0.0.1:{port}:" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://[::1", "redis://:s3cret/word@host/0", "redis://127.0.0.1:1/0?db=s3cret"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(CacheUnavailable, match="no Redis address") as caught:
        RedisCache(url, LIMITS)
    assert "s3cret" not in str(caught.value)


def test_credentials_are_not_shown():
    assert without_credentials("rediss://:s3@cret@host:6380/2?a=b") == "rediss://host:6380"
    assert without_credentials("redis:///0?password=s3cret") == "redis://localhost:6379"
    assert without_credentials("unix://me:s3cret@/run/redis.sock?db=1") == "unix:///run/redis.sock"


def test_a_redis_that_goes_away_is_a_miss_and_told_once(caplog, clock):
    limits = replace(LIMITS, retry_seconds=10)
    with redis_server() as port:
        cache = TolerantCache(RedisCache(f"redis://127.0.0.1:{port}/0", limits), limits, clock)
        cache.put_many({b"a": b"1"}, 60)
        assert cache.get_many([b"a"]) == {b"a": b"1"}
        server_side = cache._store._redis  # closed as the server would close it
        server_side.connection_pool.disconnect()
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert cache.get_many([b"a"]) == {}
        cache.put_many({b"a": b"2"}, 60)
        clock.now += 11
    (told,) = caplog.records
    assert told.getMessage().startswith(
        f"the cache cannot be read, and the work goes on without: redis://127.0.0.1:{port}"
    )
    with redis_server(port):
        assert cache.get_many([b"a"]) == {}
        cache.put_many({b"a": b"3"}, 60)
        assert cache.get_many([b"a"]) == {b"a": b"3"}
        cache.close()
    assert [record.getMessage() for record in caplog.records[1:]] == ["the cache can be read again"]


class Broken:
    """A store that fails, and counts how often it is asked."""

    asked = 0

    def get_many(self, keys):
        self.asked += 1
        raise CacheUnavailable("it is broken")

    def put_many(self, entries, lifetime_seconds):
        self.asked += 1
        raise CacheUnavailable("it is broken")

    def close(self):
        pass


def test_a_broken_store_is_left_alone_for_a_while(clock):
    store = Broken()
    cache = TolerantCache(store, replace(LIMITS, retry_seconds=10), clock)
    for _ in range(5):
        cache.get_many([b"a"])
        cache.put_many({b"a": b"1"}, 60)
    assert store.asked == 1
    clock.now += 10
    cache.put_many({b"a": b"1"}, 60)
    cache.put_many({b"a": b"1"}, 60)
    assert store.asked == 2


def test_a_cache_that_cannot_be_written_is_still_read(path, clock, caplog):
    caplog.set_level(logging.WARNING)
    with closing(SqliteCache(path, LIMITS)) as store:
        cache = TolerantCache(store, LIMITS, clock)
        cache.put_many({b"a": b"1"}, 60)
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        for _ in range(3):
            cache.put_many({b"b": b"1"}, 60)
            assert cache.get_many([b"a", b"b"]) == {b"a": b"1"}
    (told,) = caplog.records
    assert "cannot be written" in told.getMessage()


# Keys


@given(st.lists(st.text() | st.binary()), st.lists(st.text() | st.binary()))
def test_different_parts_have_different_keys(one, other):
    def plain(parts):
        return [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]

    assert (key(*one) == key(*other)) == (plain(one) == plain(other))


def test_parts_do_not_run_together():
    assert key("ab", "c") != key("a", "bc")
    assert key("a") != key("a", "")


def test_the_code_has_a_version():
    assert len(code_version()) == 64
