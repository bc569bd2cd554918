"""Opens the cache that WELLREAD_CACHE names and the memory of WELLREAD_MEMORY, and puts them before what is slow.

Only what is the same for every user of this server is remembered: it sends sites no cookies and no credentials, so a
page is what anybody here would be sent. The user's own files are not: neither their search nor their pages.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from agent.errors import BadSettings
from agent.settings import Settings, cache_dir
from retrieval.cache import Cache, TolerantCache, key
from retrieval.cached import CachedEmbedder, CachedEngine, CachedPages, ConditionalFetcher
from retrieval.errors import CacheUnavailable, EmbedderUnavailable, MemoryUnavailable
from retrieval.guard import AllowedNet, Guard
from retrieval.limits import CacheLimits, MemoryLimits
from retrieval.memory import Memory, TolerantMemory
from retrieval.rank import Embedder
from retrieval.read import PageExtractor, PageFetcher
from retrieval.remembering import Keeper, RememberedEmbedder, RememberedPages
from retrieval.search import SearchEngine

FILE = "cache.sqlite"
REDIS = ("redis://", "rediss://", "unix://")
KNOWN = "known are sqlite, a path such as /var/cache/wellread.sqlite, redis://host:6379/0 and off"
# Whose an entry is. A user with sources of their own will have a name of their own here.
EVERYBODY = "everybody"
# Their results are the user's own, or lead to a port that another start does not have; and both cost nothing.
NOT_REMEMBERED = frozenset({"local", "sample"})
QDRANT = ("qdrant+http://", "qdrant+https://")
MEMORY_KNOWN = "known are a folder such as /var/lib/wellread/memory, qdrant+http://host:6333 and off"
# Another number where vectors or texts are made so differently that the old ones must not be used.
MEMORY_FORM = "1"


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


@dataclass(frozen=True, slots=True)
class Embedders:
    """The embedder that computes, and the one before it that may look vectors up; `name` is the setting's."""

    name: str
    computing: Embedder | None
    asked: Embedder | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A memory that is open: one more engine, and what stands before the fetcher and the embedder."""

    memory: TolerantMemory
    embedder: RememberedEmbedder
    keeper: Keeper
    limits: MemoryLimits

    def engine(self) -> SearchEngine:
        """Return the engine that searches it."""
        from retrieval.engines.memory import MemoryEngine

        return MemoryEngine(self.memory, self.embedder, self.limits)

    def pages(self, fetcher: PageFetcher) -> PageFetcher:
        """Put it before the fetching of web pages."""
        return RememberedPages(fetcher, self.memory, self.limits)


async def open_memory(
    settings: Settings, nets: Sequence[AllowedNet], embedders: Embedders, stack: AsyncExitStack
) -> Remembered | None:
    """Open the memory; None when it is off. Raises BadSettings.

    `nets` are those that the settings allow: nothing is kept of a web of this machine that another start does not have.
    """
    limits = MemoryLimits()
    store = await anyio.to_thread.run_sync(memory_store, settings, embedders.name, limits)
    if store is None:
        return None
    assert embedders.computing is not None
    assert embedders.asked is not None
    memory = TolerantMemory(store, limits)
    stack.push_async_callback(anyio.to_thread.run_sync, memory.close)
    knowing = RememberedEmbedder(embedders.asked, memory, limits)
    guard = Guard(tuple(nets))
    keeper = Keeper(memory, embedders.computing, lambda: knowing.idle_seconds, limits, guard.may_permit)
    return Remembered(memory, knowing, await stack.enter_async_context(keeper), limits)


def memory_store(settings: Settings, embedder: str, limits: MemoryLimits) -> Memory | None:
    """Open where the memory is kept for vectors of the embedder of that name; None when it is off. Blocks.

    Raises BadSettings.
    """
    where = settings.memory.get_secret_value().strip()
    if where == "off":
        return None
    if embedder == "none":
        raise BadSettings("WELLREAD_MEMORY: a memory is searched by vectors. Set WELLREAD_EMBEDDER, or set it to off.")
    try:
        return _memory(where, _space(settings, embedder), limits)
    except (EmbedderUnavailable, MemoryUnavailable) as error:
        raise BadSettings(f"WELLREAD_MEMORY: {error}. Name another place, or set it to off.") from error


def _space(settings: Settings, name: str) -> str:
    """Name what must not be mixed: the vectors of one embedder, and pages had under the same settings of fetching."""
    made_by = (name, settings.embedder_url or "", settings.embedder_model or "")
    return key("memory", MEMORY_FORM, EVERYBODY, settings.robots, *sorted(settings.allow_nets), *made_by).hex()[:16]


def _memory(where: str, space: str, limits: MemoryLimits) -> Memory:
    if where.startswith(QDRANT):
        return _qdrant(where, space, limits)
    if "://" in where or "/" not in where:
        raise BadSettings(f"WELLREAD_MEMORY: neither a known store nor a path; {MEMORY_KNOWN}.")
    from retrieval.memories.disk import DiskMemory

    return DiskMemory(Path(where).expanduser(), space, limits)


def _qdrant(address: str, space: str, limits: MemoryLimits) -> Memory:
    try:
        from retrieval.memories.qdrant import opened
    except ImportError as error:
        raise BadSettings(
            "WELLREAD_MEMORY: qdrant-client is not installed: pip install 'wellread[memory-qdrant]'."
        ) from error
    return opened(address, space, limits)
