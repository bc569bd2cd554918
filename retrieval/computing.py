"""Runs what computes in Python beside the event loop: in few threads, and of those one at a time, each in its turn.

Python computes in one thread at a time whatever their number, and each that waits for its turn takes one from the loop:
with fifty questions in work forty threads made every token of every stream late, and with four the loop was still late
by more than 50 ms one time in seventeen. What may have to wait for vectors, behind the passages of other questions, has
threads of its own, so that nothing else waits with it; and while it waits, others have their turn.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

T = TypeVar("T")

# Threads that prove what an answer says, which embed where its pages are in another language.
PROVING_THREADS = 2

_computing: RunVar[CapacityLimiter] = RunVar("computing")
_proving: RunVar[CapacityLimiter] = RunVar("proving")
_turn = threading.Lock()
_thread = threading.local()


async def computed(work: Callable[..., T], *arguments: object) -> T:
    """Run work that waits for nothing, in its one thread. Raises what it raises; cancelling waits for its end."""
    return await computed_by(_limiter(_computing, 1), work, *arguments)


async def proven(work: Callable[..., T], *arguments: object) -> T:
    """Run work that may wait for vectors. Raises what it raises; cancelling waits for its end."""
    return await computed_by(_limiter(_proving, PROVING_THREADS), work, *arguments)


async def computed_by(limiter: CapacityLimiter, work: Callable[..., T], *arguments: object) -> T:
    """Run work in one of a limiter's threads. Raises what it raises; cancelling waits for its end."""
    return await anyio.to_thread.run_sync(partial(_in_turn, work, *arguments), limiter=limiter)


@contextmanager
def out_of_turn() -> Iterator[None]:
    """Let other threads compute while this one waits for what no Python computes; where it has no turn, do nothing."""
    if not getattr(_thread, "has_turn", False):
        yield
        return
    _thread.has_turn = False
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
        _thread.has_turn = True


def _in_turn(work: Callable[..., T], *arguments: object) -> T:
    with _turn:
        _thread.has_turn = True
        try:
            return work(*arguments)
        finally:
            _thread.has_turn = False


def _limiter(kept: RunVar[CapacityLimiter], threads: int) -> CapacityLimiter:
    """Return the limiter of the running event loop."""
    try:
        return kept.get()
    except LookupError:
        limiter = CapacityLimiter(threads)
        kept.set(limiter)
        return limiter
