"""Keeps an asynchronous context open between the calls of an actor, in a task of its own.

A task group must be left in the task that entered it, and each call of an actor runs in another.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """A context that is open from `open` to `close`."""

    def __init__(self, context: AbstractAsyncContextManager[T]) -> None:
        self._context = context
        self._closing = asyncio.Event()

    async def open(self) -> T:
        """Enter the context; gives what it gives. Raises what it raises."""
        opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(opened))
        await asyncio.wait({opened, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            self._task.result()
        return opened.result()

    async def close(self) -> None:
        """Leave the context."""
        self._closing.set()
        await self._task

    async def _hold(self, opened: "asyncio.Future[T]") -> None:
        async with self._context as value:
            opened.set_result(value)
            await self._closing.wait()
