import pytest
from limits.storage import MemoryStorage

from agent.errors import RateLimited
from agent.key_limits import KeyLimits


def asked(limits, key="a"):
    with limits.asking(key) as left:
        return left


def test_without_limits_nothing_is_counted():
    assert [asked(KeyLimits(None, None)) for _ in range(3)] == [None] * 3


def test_requests_of_a_minute_are_counted_for_each_key():
    limits = KeyLimits(2, None)

    assert [asked(limits).remaining for _ in range(2)] == [1, 0]
    with pytest.raises(RateLimited) as refused:
        asked(limits)
    assert "2 requests a minute" in str(refused.value)
    assert 1 <= refused.value.retry_after_s <= 60
    assert asked(limits, "b").remaining == 1


def test_requests_at_once_are_counted_for_each_key():
    limits = KeyLimits(None, 1)

    with limits.asking("a"), limits.asking("b"), pytest.raises(RateLimited) as refused:
        asked(limits)
    assert "1 requests running at once" in str(refused.value)
    assert asked(limits) is None


def test_a_request_that_fails_frees_its_place():
    limits = KeyLimits(None, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limits.asking("a"):
            raise ZeroDivisionError
    assert not limits._running


def test_what_was_refused_for_running_too_much_is_not_counted():
    limits = KeyLimits(2, 1)
    with limits.asking("a"):
        for _ in range(5):
            with pytest.raises(RateLimited):
                asked(limits)
    left = limits.left("a")
    assert left is not None
    assert (left.limit, left.remaining) == (2, 1)


@pytest.fixture(autouse=True)
def quiet_storage(monkeypatch):
    """Let no timer of the storage outlive its test."""
    storages = []
    made = MemoryStorage.__init__

    def noted(self, *args, **options):
        made(self, *args, **options)
        storages.append(self)

    monkeypatch.setattr(MemoryStorage, "__init__", noted)
    yield
    for storage in storages:
        storage.timer.cancel()
