"""What replicas share, in a server that speaks the Redis protocol (Redis, Valkey, ...): one call each, which may fail.

Times are the server's own, so that the clocks of replicas need not agree; only a moving minute goes by theirs. Names
and what a key is called stand in it as hashes.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from retrieval.cache import key
from retrieval.caches.redis import without_credentials
from retrieval.errors import SharedUnavailable
from retrieval.limits import SharedLimits
from retrieval.shared import Minute, Note

PREFIX = b"wellread:shared:"
# A place is a member of a sorted set, whose score is when its lease ends, in milliseconds of the server's clock.
NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# KEYS: the place. ARGV: who takes it, of how many, for how many milliseconds. Taken twice, as by a client that lost the
# reply and asks again, it is one.
TAKE = f"""{NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not mine and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
# KEYS: places. ARGV: for how many milliseconds, and who holds each.
RENEW = f"""{NOW}
for i, place in ipairs(KEYS) do
  redis.call('ZADD', place, now + ARGV[1], ARGV[i + 1])
  redis.call('PEXPIRE', place, ARGV[1])
end
return 1
"""
# KEYS: a note.
READ = "return {redis.call('TIME'), redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
# KEYS: a note. ARGV: the text that it had, the text that it is to have, for how many milliseconds; "" is none.
SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A place of a name, of which there are `of`, held by `holder`."""

    name: str
    of: int
    holder: str


class RedisStore:
    """What is shared in the server at `url` (redis://, rediss:// or unix://). Making one blocks.

    Every method raises SharedUnavailable when the server does not answer as it should.
    """

    def __init__(self, url: str, limits: SharedLimits) -> None:
        self._lease_ms = round(limits.lease_seconds * 1000)
        wait = limits.wait_seconds
        # One retry: the server may have closed a connection that was long idle.
        retry = Retry(NoBackoff(), 1)
        try:
            self.name = without_credentials(url)
            self._redis = Redis.from_url(
                url,
                socket_timeout=wait,
                socket_connect_timeout=wait,
                retry=retry,
                # To name its version it would read the disk with every connection.
                driver_info=None,
            )
        except (RedisError, ValueError):
            # Without the cause: where an address is misread, it may tell a part of the password.
            raise SharedUnavailable("no Redis address; one is redis://user:password@host:6379/0") from None
        self._take = self._redis.register_script(TAKE)
        self._renew = self._redis.register_script(RENEW)
        self._read = self._redis.register_script(READ)
        self._swap = self._redis.register_script(SWAP)
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=_key("minute", "").decode(),
            # What is not named goes to the client as it is.
            connection_pool=self._redis.connection_pool,  # type: ignore[arg-type]
        )
        self._window = MovingWindowRateLimiter(storage)

    async def read(self, name: str) -> Note:
        """Read a note."""
        with self._translated():
            (seconds, micros), text, left_ms = await self._read([_key("note", name)])
        now = int(seconds) + int(micros) / 1_000_000
        return Note(None, now) if text is None else Note(text.decode(), now, left_ms / 1000)

    async def swap(self, name: str, before: str | None, after: str | None, keep_seconds: float) -> bool:
        """Put a text in a note's place if it still says what it said before; tell whether it did."""
        keep_ms = max(1, round(keep_seconds * 1000))
        with self._translated():
            return bool(await self._swap([_key("note", name)], [before or "", after or "", keep_ms]))

    async def take(self, lease: Lease) -> bool:
        """Take a place if one is free; tell whether it was."""
        with self._translated():
            return bool(await self._take([_key("place", lease.name)], [lease.holder, lease.of, self._lease_ms]))

    async def free(self, lease: Lease) -> None:
        """Give a place back."""
        with self._translated():
            await self._redis.zrem(_key("place", lease.name), lease.holder)

    async def renew(self, leases: Sequence[Lease]) -> None:
        """Hold places for a whole lease from now on, those too that the server has forgotten; without any just ask."""
        with self._translated():
            if not leases:
                await self._redis.ping()
                return
            keys = [_key("place", lease.name) for lease in leases]
            await self._renew(keys, [self._lease_ms, *(lease.holder for lease in leases)])

    async def offer(self, notes: Sequence[tuple[str, str, float]]) -> None:
        """Put down notes (name, text, seconds) where none stand."""
        with self._translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name, text, seconds in notes:
                    pipeline.set(_key("note", name), text, px=max(1, round(seconds * 1000)), nx=True)
                await pipeline.execute()

    async def hit(self, name: str, a_minute: int) -> bool:
        """Count one, if that makes no more than so many within a minute; tell whether it was."""
        with self._translated():
            return await self._window.hit(RateLimitItemPerMinute(a_minute), _hash(name))

    async def minute(self, name: str, a_minute: int) -> Minute:
        """Tell what is left of the minute."""
        with self._translated():
            stats = await self._window.get_window_stats(RateLimitItemPerMinute(a_minute), _hash(name))
        return Minute(max(0, stats.remaining), max(0.0, stats.reset_time - time.time()))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise SharedUnavailable(f"{self.name}: {error}") from error


def _key(kind: str, name: str) -> bytes:
    return PREFIX + f"{kind}:{_hash(name) if name else ''}".encode()


def _hash(name: str) -> str:
    return key(name).hex()
