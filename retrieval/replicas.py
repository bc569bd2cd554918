"""Shares with all replicas that name the same server what each would else keep for itself; outages are borne.

A process always keeps its own too: when the server does not answer, that goes on alone, and when it answers again, it
is told what it lacks. No call waits longer than `SharedLimits.wait_seconds`, and while the server is known to be down
none asks it.
"""

import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import anyio

from retrieval.errors import NoPlace, SharedUnavailable
from retrieval.limits import SharedLimits
from retrieval.shared import InProcess, Minute, Note
from retrieval.shared_redis import Lease, RedisStore

log = logging.getLogger(__name__)
T = TypeVar("T")

# Who may not wait for a place looks so often: that one was given back may be on its way.
LOOKS = 2


class Replicas:
    """What replicas share over one store. Use as an async context manager; entering raises SharedUnavailable."""

    def __init__(self, store: RedisStore, limits: SharedLimits) -> None:
        self._store, self._limits = store, limits
        # How far the store's clock is ahead of this process's; before it was asked, that of the machine.
        self._ahead = time.time() - time.monotonic()
        self._here = InProcess(limits, lambda: time.monotonic() + self._ahead)
        self._held: set[Lease] = set()
        self._down = self._open = False

    @property
    def trouble(self) -> str | None:
        """What is wrong now; its reason is in the log alone, as it may name a place."""
        return "does not answer: this process counts for itself" if self._down else None

    async def __aenter__(self) -> Self:
        self._room = anyio.CapacityLimiter(self._limits.connections)
        try:
            await self._in_time(partial(self._store.renew, ()))
        except SharedUnavailable:
            await self._store.aclose()
            raise
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._beating = anyio.CancelScope()
        self._tasks.start_soon(self._beat)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._beating.cancel()
        # What is being given back has its time.
        self._tasks.cancel_scope.deadline = anyio.current_time() + self._limits.wait_seconds
        try:
            # Told of no error, the group wraps none.
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.move_on_after(self._limits.wait_seconds, shield=True):
                await self._store.aclose()

    async def note(self, name: str) -> Note:
        """Read a note."""
        try:
            note = await self._asked(partial(self._store.read, name))
        except SharedUnavailable:
            return await self._here.note(name)
        return self._keep(name, note)

    async def change(self, name: str, changed: Callable[[Note], str | None], keep_seconds: float) -> Note:
        """Put another text in a note's place."""
        try:
            return self._keep(name, await self._asked(partial(self._changed, name, changed, keep_seconds)))
        except SharedUnavailable:
            return await self._here.change(name, changed, keep_seconds)

    @asynccontextmanager
    async def place(self, name: str, of: int, *, wait: bool = True) -> AsyncIterator[None]:
        """Hold one of so many places; in this process they are given in the order of asking."""
        lease = Lease(name, of, uuid.uuid4().hex)
        async with self._here.place(name, of, wait=wait):
            try:
                await self._take(lease, wait=wait)
                self._held.add(lease)
                yield
            finally:
                self._held.discard(lease)
                if self._open:
                    # In a task of its own: nobody waits for it.
                    self._tasks.start_soon(self._free, lease)

    async def hit(self, name: str, a_minute: int) -> bool:
        """Count one, if that makes no more than so many within a minute."""
        try:
            counted = await self._asked(partial(self._store.hit, name, a_minute))
        except SharedUnavailable:
            return await self._here.hit(name, a_minute)
        if counted:
            await self._here.hit(name, a_minute)
        return counted

    async def minute(self, name: str, a_minute: int) -> Minute:
        """Tell what is left of the minute."""
        try:
            return await self._asked(partial(self._store.minute, name, a_minute))
        except SharedUnavailable:
            return await self._here.minute(name, a_minute)

    async def _changed(self, name: str, changed: Callable[[Note], str | None], keep_seconds: float) -> Note:
        """Change a note in the store, again when another replica was faster: one of them always was first."""
        while True:
            before = await self._store.read(name)
            after = changed(before)
            if after == before.text:
                return before
            if await self._store.swap(name, before.text, after, keep_seconds):
                return Note(after, before.now, keep_seconds if after is not None else 0.0)

    def _keep(self, name: str, note: Note) -> Note:
        """Remember what the store said, for when it is down."""
        self._ahead = note.now - time.monotonic()
        self._here.keep(name, note.text, note.left_seconds)
        return note

    async def _take(self, lease: Lease, *, wait: bool) -> None:
        """Take a place, at once or when there is one; where the store is down, that of this process is enough."""
        looked = 0
        with suppress(SharedUnavailable):
            while not await self._asked(partial(self._store.take, lease)):
                looked += 1
                if not wait and looked == LOOKS:
                    raise NoPlace
                await anyio.sleep(self._limits.look_seconds * random.uniform(0.5, 1.5))  # noqa: S311  (no secret)

    async def _free(self, lease: Lease) -> None:
        """Give a place back; where the store is down, its lease ends."""
        with suppress(SharedUnavailable):
            await self._asked(partial(self._store.free, lease))

    async def _beat(self) -> None:
        """Renew what is held, and see whether the store answers, as long as it goes on."""
        with self._beating:
            while True:
                await anyio.sleep(self._limits.beat_seconds)
                try:
                    await self._in_time(self._renewed)
                except SharedUnavailable as error:
                    self._note_down(error)
                else:
                    self._note_up()

    async def _renewed(self) -> None:
        leases = tuple(self._held)
        await self._store.renew(leases)
        for lease in leases:
            # Given back meanwhile, it must not be held again.
            if lease not in self._held:
                await self._store.free(lease)
        if self._down:
            await self._store.offer(self._here.lasting())

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask the store, unless it is known to be down. Raises SharedUnavailable."""
        if self._down:
            raise SharedUnavailable(f"{self._store.name} is down")
        try:
            return await self._in_time(call)
        except SharedUnavailable as error:
            self._note_down(error)
            raise

    async def _in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        """Let a call take no longer than it may, waiting for a connection included. Raises SharedUnavailable."""
        wait = self._limits.wait_seconds
        try:
            with anyio.fail_after(wait):
                async with self._room:
                    return await call()
        except TimeoutError as error:
            raise SharedUnavailable(f"{self._store.name}: no answer within {wait:g} s") from error

    def _note_down(self, error: SharedUnavailable) -> None:
        if not self._down:
            log.warning("what replicas share cannot be had, and this one counts for itself: %s", error)
        self._down = True

    def _note_up(self) -> None:
        if self._down:
            log.warning("what replicas share can be had again")
        self._down = False
