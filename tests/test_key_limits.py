import pytest
from limits.storage import MemoryStorage

from agent.errors import RateLimited
from agent.key_limits import KeyLimits
from retrieval.shared import InProcess

pytestmark = pytest.mark.anyio


def limited(per_minute, at_once):
    shared = InProcess()
    return KeyLimits(per_minute, at_once, lambda: shared)


async def asked(limits, key="a"):
    async with limits.asking(key) as left:
        return left


async def test_without_limits_nothing_is_counted():
    limits = limited(None, None)
    assert [await asked(limits) for _ in range(3)] == [None] * 3


async def test_requests_of_a_minute_are_counted_for_each_key():
    limits = limited(2, None)

    assert [(await asked(limits)).remaining for _ in range(2)] == [1, 0]
    with pytest.raises(RateLimited) as refused:
        await asked(limits)
    assert "2 requests a minute" in str(refused.value)
    assert 1 <= refused.value.retry_after_s <= 60
    assert (await asked(limits, "b")).remaining == 1


async def test_requests_at_once_are_counted_for_each_key():
    limits = limited(None, 1)

    async with limits.asking("a"), limits.asking("b"):
        with pytest.raises(RateLimited) as refused:
            await asked(limits)
    assert "1 requests running at once" in str(refused.value)
    assert await asked(limits) is None


async def test_a_request_that_fails_frees_its_place():
    shared = InProcess()
    limits = KeyLimits(None, 1, lambda: shared)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with limits.asking("a"):
                raise ZeroDivisionError
    assert not shared._places


async def test_what_was_refused_for_running_too_much_is_not_counted():
    limits = limited(2, 1)
    async with limits.asking("a"):
        for _ in range(5):
            with pytest.raises(RateLimited):
                await asked(limits)
    left = await limits.left("a")
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
