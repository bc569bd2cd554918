"""`wellread cache`: what is in the file, and a copy of it while others write."""

import os
import sqlite3
import stat
import threading
import time
from contextlib import closing

import pytest

import server
from retrieval.cache import key
from retrieval.caches.sqlite import SqliteCache
from retrieval.caches.sqlite_backup import back_up, described
from retrieval.errors import CacheUnavailable
from retrieval.limits import CacheLimits

LIMITS = CacheLimits(wait_seconds=5.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "cache.sqlite"


@pytest.fixture
def cache(path):
    with closing(SqliteCache(path, LIMITS)) as cache:
        cache.put_many({key(str(number)): os.urandom(1000) for number in range(50)}, 600)
        yield cache


def test_an_open_cache_is_described(cache, path):
    cache.put_many({b"long": b"1"}, 10_000)
    file = described(path, lambda: time.time() + 1_000)
    assert (file.path, file.entries, file.ended, file.current) == (path, 51, 50, True)
    assert file.bytes > 50_000


def test_a_copy_holds_all_and_is_the_owners_alone(cache, path, tmp_path):
    target = tmp_path / "copy.sqlite"

    assert back_up(path, target).entries == 50

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.sqlite", "folder"]
    with closing(SqliteCache(target, LIMITS)) as copy:
        assert len(copy.get_many([key(str(number)) for number in range(50)])) == 50


def test_a_copy_is_of_one_moment_while_others_write(cache, path, tmp_path):
    """Entries are written in pairs: a copy holds both of a pair, or none."""
    done, written = threading.Event(), threading.Event()

    def write():
        number = 0
        while not done.is_set():
            cache.put_many({key("left", str(number)): bytes(2000), key("right", str(number)): bytes(2000)}, 600)
            number += 1
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(20)
        copies = [back_up(path, tmp_path / str(number)) for number in range(5)]
    finally:
        done.set()
        writer.join()
    for copy in copies:
        with closing(SqliteCache(copy.path, LIMITS)) as store:
            sides = [
                {n for n in range(copy.entries) if store.get_many([key(side, str(n))])} for side in ("left", "right")
            ]
        assert sides[0] == sides[1]
        assert sides[0]


def test_nothing_is_written_over(cache, path, tmp_path):
    (tmp_path / "mine").write_text("a shopping list")
    with pytest.raises(CacheUnavailable, match="is there already"):
        back_up(path, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "a shopping list"


def test_a_damaged_cache_leaves_no_copy(path, tmp_path):
    with closing(SqliteCache(path, LIMITS)) as cache:
        cache.put_many({key(str(number)): os.urandom(1000) for number in range(50)}, 600)
    body = bytearray(path.read_bytes())
    body[8192:16_384] = os.urandom(8192)
    path.write_bytes(body)
    with pytest.raises(CacheUnavailable):
        back_up(path, tmp_path / "copy")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_the_database_of_another_program_is_not_copied(path, tmp_path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(CacheUnavailable, match="another program"):
        back_up(path, tmp_path / "copy")


def test_a_cache_of_another_release_is_told(cache, path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=999")
    file = described(path)
    assert (file.version, file.current, file.entries) == (999, False, 0)


def test_a_cache_that_is_not_there_is_not_made(path):
    with pytest.raises(CacheUnavailable, match="is not there"):
        described(path)
    assert not path.exists()


def test_the_command_tells_and_copies(cache, path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WELLREAD_CACHE", str(path))

    assert server.main(["cache", "info"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: 0.")
    assert server.main(["cache", "backup", str(tmp_path / "copy")]) == 0
    assert "Copied and checked.\n" in capsys.readouterr().out
    assert server.main(["cache", "backup", str(tmp_path / "copy")]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "told"),
    [("off", "there is no cache"), ("redis://:s3cret@127.0.0.1/0", "redis-cli --rdb"), ("nonsense", "a path")],
)
def test_what_is_no_file_is_told(where, told, monkeypatch, capsys):
    monkeypatch.setenv("WELLREAD_CACHE", where)

    assert server.main(["cache", "info"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "s3cret" not in err
