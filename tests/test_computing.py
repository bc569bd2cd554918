import threading

import anyio
import pytest
from anyio import CapacityLimiter

from retrieval.computing import computed, computed_by, out_of_turn, proven

pytestmark = pytest.mark.anyio


class Work:
    """Work that ends when it is let go, and tells that it has begun."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.go.wait(5)
        return self


async def begins(work, seconds=5.0):
    return await anyio.to_thread.run_sync(work.begun.wait, seconds)


async def test_one_thread_computes_at_a_time_whatever_it_computes():
    first, others = Work(), [Work(), Work(), Work()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(computed, first)
        assert await begins(first)
        tasks.start_soon(proven, others[0])
        tasks.start_soon(proven, others[1])
        tasks.start_soon(computed_by, CapacityLimiter(1), others[2])
        assert not any([await begins(work, 0.05) for work in others])
        for work in others:
            work.go.set()
        first.go.set()
        assert all([await begins(work) for work in others])


async def test_what_waits_for_vectors_lets_others_compute_and_takes_its_turn_again():
    vectors, other, after = Work(), Work(), Work()

    def embeds():
        with out_of_turn():
            vectors()
        return after()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(proven, embeds)
        assert await begins(vectors)
        tasks.start_soon(computed, other)
        assert await begins(other)
        vectors.go.set()
        assert not await begins(after, 0.05)
        other.go.set()
        assert await begins(after)
        after.go.set()


@pytest.mark.parametrize("waits", [False, True], ids=["in its turn", "out of turn"])
async def test_work_that_fails_gives_its_turn_back(waits):
    def fails():
        if waits:
            with out_of_turn():
                raise ValueError("no")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await computed(fails)
    with anyio.fail_after(5):
        assert await proven(lambda: 1) == 1


async def test_a_thread_without_a_turn_may_say_that_it_waits():
    with out_of_turn(), out_of_turn():
        assert await computed(lambda: 2) == 2
