"""Runs what computes in Python beside the event loop, in few threads at a time.

Python computes in one thread at a time whatever their number, and each that waits for its turn takes one from the loop:
with fifty questions in work forty threads made every token of every stream late. What may have to wait for vectors,
behind the passages of other questions, has threads of its own, so that nothing else waits with it.
"""

from collections.abc import Callable
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


async def computed(work: Callable[..., T], *arguments: object) -> T:
    """Run work that waits for nothing, in its one thread. Raises what it raises; cancelling waits for its end."""
    return await anyio.to_thread.run_sync(partial(work, *arguments), limiter=_limiter(_computing, 1))


async def proven(work: Callable[..., T], *arguments: object) -> T:
    """Run work that may wait for vectors. Raises what it raises; cancelling waits for its end."""
    return await anyio.to_thread.run_sync(partial(work, *arguments), limiter=_limiter(_proving, PROVING_THREADS))


def _limiter(kept: RunVar[CapacityLimiter], threads: int) -> CapacityLimiter:
    """Return the limiter of the running event loop."""
    try:
        return kept.get()
    except LookupError:
        limiter = CapacityLimiter(threads)
        kept.set(limiter)
        return limiter
