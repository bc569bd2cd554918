"""A cache in a server that speaks the Redis protocol (Redis, Valkey, KeyDB, ...), shared by many replicas.

How much it keeps is the server's own setting: give it `maxmemory` and the policy `allkeys-lru`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from retrieval.errors import CacheUnavailable
from retrieval.limits import CacheLimits

PREFIX = b"wellread:"


class RedisCache:
    """Entries in the server at `url` (redis://, rediss:// or unix://). Blocks.

    Raises CacheUnavailable when the server does not answer.
    """

    def __init__(self, url: str, limits: CacheLimits) -> None:
        wait = limits.wait_seconds
        # One retry: the server may have closed a connection that was long idle.
        retry = Retry(NoBackoff(), 1)
        try:
            self._name = without_credentials(url)
            self._redis = Redis.from_url(url, socket_timeout=wait, socket_connect_timeout=wait, retry=retry)
        except (RedisError, ValueError):
            # Without the cause: where an address is misread, it may tell a part of the password.
            raise CacheUnavailable("no Redis address; one is redis://user:password@host:6379/0") from None
        with self._translated():
            self._redis.ping()

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the entries that are there. Raises CacheUnavailable."""
        if not keys:
            return {}
        with self._translated():
            values = self._redis.mget([PREFIX + name for name in keys])
        return {name: value for name, value in zip(keys, values, strict=True) if isinstance(value, bytes)}

    def put_many(self, entries: Mapping[bytes, bytes], lifetime_seconds: float) -> None:
        """Keep entries for so long. Raises CacheUnavailable."""
        milliseconds = max(1, round(lifetime_seconds * 1000))
        with self._translated(), self._redis.pipeline(transaction=False) as pipeline:
            for name, value in entries.items():
                pipeline.set(PREFIX + name, value, px=milliseconds)
            pipeline.execute()

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise CacheUnavailable(f"{self._name}: {error}") from error


def without_credentials(url: str) -> str:
    """Return where an address leads, without user name, password and options. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or 6379}"
