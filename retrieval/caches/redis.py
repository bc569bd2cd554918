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
        self._name = without_credentials(url)
        wait = limits.wait_seconds
        with self._translated():
            # One retry: the server may have closed a connection that was long idle.
            self._redis = Redis.from_url(
                url, socket_timeout=wait, socket_connect_timeout=wait, retry=Retry(NoBackoff(), 1)
            )
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
        except (RedisError, OSError, ValueError) as error:
            raise CacheUnavailable(f"{self._name}: {error}") from error


def without_credentials(url: str) -> str:
    """Return an address as it may be shown: without user name, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
