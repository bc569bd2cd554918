"""Opens the cache that WELLREAD_CACHE names, and puts it before what is slow: engines, pages, the embedder.

Only what is the same for every user of this server is remembered: it sends sites no cookies and no credentials, so a
page is what anybody here would be sent. The user's own files are not: neither their search nor their pages.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from agent.errors import BadSettings
from agent.settings import Settings, cache_dir
from retrieval.cache import Cache, TolerantCache
from retrieval.cached import CachedEmbedder, CachedEngine, CachedPages, ConditionalFetcher
from retrieval.errors import CacheUnavailable
from retrieval.limits import CacheLimits
from retrieval.rank import Embedder
from retrieval.read import PageExtractor
from retrieval.search import SearchEngine

FILE = "cache.sqlite"
REDIS = ("redis://", "rediss://", "unix://")
KNOWN = "known are sqlite, a path such as /var/cache/wellread.sqlite, redis://host:6379/0 and off"
# Whose an entry is. A user with sources of their own will have a name of their own here.
EVERYBODY = "everybody"
# Their results are the user's own, or lead to a port that another start does not have; and both cost nothing.
NOT_REMEMBERED = frozenset({"local", "sample"})


async def open_cache(settings: Settings, stack: AsyncExitStack) -> Cache | None:
    """Open the cache; None when it is off. Raises BadSettings."""
    where = settings.cache.get_secret_value().strip()
    if where == "off":
        return None
    limits = CacheLimits()
    try:
        cache = TolerantCache(await anyio.to_thread.run_sync(_store, where, limits), limits)
    except CacheUnavailable as error:
        raise BadSettings(f"WELLREAD_CACHE: {error}. Name another place, or set it to off.") from error
    stack.push_async_callback(anyio.to_thread.run_sync, cache.close)
    return cache


def _store(where: str, limits: CacheLimits) -> Cache:
    if where.startswith(REDIS):
        return _redis(where, limits)
    from retrieval.caches.sqlite import SqliteCache

    return SqliteCache(_path(where), limits)


def _redis(url: str, limits: CacheLimits) -> Cache:
    try:
        from retrieval.caches.redis import RedisCache
    except ImportError as error:
        raise BadSettings("WELLREAD_CACHE: redis is not installed: pip install 'wellread[redis]'.") from error
    return RedisCache(url, limits)


def cache_file(settings: Settings) -> Path:
    """Return the file that the cache is kept in. Raises BadSettings where it is kept in none."""
    where = settings.cache.get_secret_value().strip()
    if where == "off":
        raise BadSettings("WELLREAD_CACHE is off: there is no cache.")
    if where.startswith(REDIS):
        raise BadSettings(
            "WELLREAD_CACHE names a Redis server, which tells and copies what it holds by its own means: "
            "redis-cli INFO memory, redis-cli --rdb FILE."
        )
    return _path(where)


def _path(where: str) -> Path:
    """Return the file that the setting names. Raises BadSettings, which does not repeat it: it may hold a password."""
    if where == "sqlite":
        return cache_dir() / FILE
    path = where.removeprefix("sqlite://")
    if "://" in path or "/" not in path:
        raise BadSettings(f"WELLREAD_CACHE: neither a known store nor a path; {KNOWN}.")
    return Path(path).expanduser()


@dataclass(frozen=True, slots=True)
class Remembering:
    """Wraps what is opened so that it remembers. `code` changes with the code that makes texts and vectors."""

    cache: Cache
    settings: Settings
    code: str
    limits: CacheLimits = CacheLimits()  # noqa: RUF009  (frozen)

    def engine(self, engine: SearchEngine) -> SearchEngine:
        """Wrap an engine whose results are everybody's."""
        if engine.name in NOT_REMEMBERED:
            return engine
        scope = (EVERYBODY, self.settings.searxng_url or "" if engine.name == "searxng" else "")
        return CachedEngine(engine, self.cache, self.limits, scope)

    def pages(self, fetcher: ConditionalFetcher, extractor: PageExtractor) -> CachedPages:
        """Wrap the fetching and cleaning of web pages. What may be fetched is part of the scope: settings change."""
        scope = (EVERYBODY, self.settings.robots, *sorted(self.settings.allow_nets))
        return CachedPages(fetcher, extractor, self.cache, self.limits, scope, self.code)

    def embedder(self, embedder: Embedder | None, name: str) -> Embedder | None:
        """Wrap the embedder, if there is one."""
        if embedder is None:
            return None
        model = f"{name}\n{self.settings.embedder_url or ''}\n{self.settings.embedder_model or ''}\n{self.code}"
        return CachedEmbedder(embedder, self.cache, self.limits, model)
