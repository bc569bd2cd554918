"""Runs what computes in Python beside the event loop, in one thread at a time.

Python computes in one thread at a time whatever their number, and each that waits for its turn takes one from the loop:
with fifty questions in work forty threads made every token of every stream late. Not for what waits for others.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

T = TypeVar("T")

_only_one: RunVar[CapacityLimiter] = RunVar("computing")


async def computed(work: Callable[..., T], *arguments: object) -> T:
    """Run blocking work in the thread that computes. Raises what it raises; cancelling waits for its end."""
    try:
        limiter = _only_one.get()
    except LookupError:
        limiter = CapacityLimiter(1)
        _only_one.set(limiter)
    return await anyio.to_thread.run_sync(partial(work, *arguments), limiter=limiter)
