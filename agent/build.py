"""The only place that knows every engine: opens what the settings name, and closes it again.

An unknown name stops the start and lists the known ones; nothing is replaced in silence.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread
import httpx2
from pydantic import SecretStr

from agent.errors import BadSettings
from agent.reason import Model
from agent.remember import Embedders, Remembered, Remembering, memory_store, open_cache, open_memory
from agent.settings import Settings
from agent.telemetry import trace_headers
from agent.tools import Dispensable, Tools
from retrieval import language
from retrieval.cache import Cache, code_version
from retrieval.cooldown import PatientEngine
from retrieval.errors import RetrievalError, SharedUnavailable
from retrieval.extract import Extractor
from retrieval.extract import prepare as prepare_workers
from retrieval.fetch import Fetcher
from retrieval.guard import AllowedNet, Guard, parse_allowed_net
from retrieval.limits import (
    CooldownLimits,
    ExtractLimits,
    FetchLimits,
    LocalLimits,
    MemoryLimits,
    RankLimits,
    RobotsLimits,
    SearchLimits,
    SharedLimits,
)
from retrieval.local_files import LocalFolder, RoutedFetcher
from retrieval.memory import Memory
from retrieval.rank import Embedder
from retrieval.read import PageExtractor, PageFetcher
from retrieval.rerank import Reranker
from retrieval.search import SearchEngine
from retrieval.shared import InProcess, Shared

if TYPE_CHECKING:
    from retrieval.engines.local import LocalEngine
    from retrieval.replicas import Replicas
    from retrieval.sample_web import SampleWeb

T = TypeVar("T")

# Where a GPU computes vectors: nearly every passage has one, many at a time, of several questions together.
FAST = RankLimits(candidates=1_000, ahead=128, at_once=8)
MODEL_SILENCE_SECONDS = 300.0
MODEL_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Embedding:
    """What makes vectors; `name` is that of the setting. `fast`: as fast as a GPU, so nearly every passage has one."""

    name: str
    embedder: Embedder | None
    fast: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What fetches pages, and what cleans them."""

    fetcher: PageFetcher
    extractor: PageExtractor


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What other machines do for this process."""

    reading: Reading
    embedding: Embedding


@asynccontextmanager
async def open_tools(settings: Settings, elsewhere: Elsewhere | None = None) -> AsyncGenerator[Tools, None]:
    """Open everything a server needs; weights are fetched on first use. Raises BadSettings or WeightsError.

    Of what is done `elsewhere` nothing is opened here.
    """
    async with AsyncExitStack() as stack:
        nets = list(allowed_nets(settings))
        # Without the ports of webs on this machine, which engines add.
        own_nets = tuple(nets)
        if elsewhere is None:
            # First: what the workers need is loaded beside all that follows.
            await anyio.to_thread.run_sync(prepare_workers)
        await anyio.to_thread.run_sync(language.prepare)
        remembering = await _remembering(settings, stack)
        shared = await _shared(settings, stack)
        live = [await _engine(name, settings, stack, nets, shared) for name in settings.search]
        embedding = elsewhere.embedding if elsewhere else await anyio.to_thread.run_sync(embedding_of, settings)
        model = await _model(settings, stack)
        reading = elsewhere.reading if elsewhere else await _reading(settings, stack, nets, remembering, shared)
        reranker = await anyio.to_thread.run_sync(_reranker, settings)
        embedder = remembering.embedder(embedding.embedder, embedding.name) if remembering else embedding.embedder
        embedders = Embedders(embedding.name, embedding.embedder, embedder)
        remembered = await open_memory(settings, own_nets, embedders, stack)
        fetcher = remembered.pages(reading.fetcher) if remembered else reading.fetcher
        yield Tools(
            settings,
            model,
            _engines(live, remembering, remembered),
            await _with_files(fetcher, settings),
            reading.extractor,
            remembered.embedder if remembered else embedder,
            reranker,
            rank_limits=FAST if embedding.fast else RankLimits(),
            live_engines=live,
            dispensable=_dispensable(
                cache=remembering and remembering.cache,
                embedder=embedding.embedder,
                reranker=reranker,
                memory=remembered and remembered.memory,
                shared=shared,
            ),
            shared=shared,
            keeper=remembered.keeper if remembered else None,
        )


def _engines(
    live: Sequence[SearchEngine], remembering: Remembering | None, remembered: Remembered | None
) -> list[SearchEngine]:
    """Put what is remembered of engines before them, and the memory beside them."""
    engines = [remembering.engine(engine) for engine in live] if remembering else list(live)
    return [*engines, remembered.engine()] if remembered else engines


@asynccontextmanager
async def open_reading(settings: Settings) -> AsyncGenerator[Reading, None]:
    """Open only what reads pages, for a machine that does nothing else. Raises BadSettings."""
    async with AsyncExitStack() as stack:
        nets = list(allowed_nets(settings))
        remembering, shared = await _remembering(settings, stack), await _shared(settings, stack)
        yield await _reading(settings, stack, nets, remembering, shared)


async def _reading(
    settings: Settings,
    stack: AsyncExitStack,
    nets: Sequence[AllowedNet],
    remembering: Remembering | None,
    shared: Shared,
) -> Reading:
    extractor = await stack.enter_async_context(Extractor(ExtractLimits()))
    robots = RobotsLimits() if settings.robots == "respect" else None
    fetcher = await stack.enter_async_context(Fetcher(Guard(tuple(nets)), FetchLimits(), robots, shared))
    if remembering is None:
        return Reading(fetcher, extractor)
    pages = remembering.pages(fetcher, extractor)
    return Reading(pages, pages)


async def _remembering(settings: Settings, stack: AsyncExitStack) -> Remembering | None:
    cache = await open_cache(settings, stack)
    return None if cache is None else Remembering(cache, settings, await anyio.to_thread.run_sync(code_version))


async def _shared(settings: Settings, stack: AsyncExitStack) -> Shared:
    """Open what replicas share; without WELLREAD_SHARED it is this process's own. Raises BadSettings."""
    if settings.shared is None:
        return InProcess()
    try:
        replicas = await anyio.to_thread.run_sync(_replicas, settings.shared.get_secret_value().strip())
        return await stack.enter_async_context(replicas)
    except SharedUnavailable as error:
        raise BadSettings(f"WELLREAD_SHARED: {error}. Name another server, or unset it.") from error


def _replicas(url: str) -> "Replicas":
    try:
        from retrieval.replicas import Replicas
        from retrieval.shared_redis import RedisStore
    except ImportError as error:
        raise BadSettings("WELLREAD_SHARED: redis is not installed: pip install 'wellread[redis]'.") from error
    limits = SharedLimits()
    return Replicas(RedisStore(url, limits), limits)


def _dispensable(**named: object) -> dict[str, Dispensable]:
    return {name: each for name, each in named.items() if isinstance(each, Dispensable)}


def allowed_nets(settings: Settings) -> tuple[AllowedNet, ...]:
    """Read WELLREAD_ALLOW_NETS. Raises BadSettings."""
    try:
        return tuple(parse_allowed_net(text) for text in settings.allow_nets)
    except ValueError as error:
        raise BadSettings(f"WELLREAD_ALLOW_NETS: {error}") from error


EngineOpener = Callable[[Settings, AsyncExitStack, list[AllowedNet]], Awaitable[SearchEngine]]


async def _ddgs(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    # In a thread: on import the package lists its folder of engines.
    return await anyio.to_thread.run_sync(_ddgs_engine)


def _ddgs_engine() -> SearchEngine:
    from retrieval.engines.ddgs import DdgsEngine

    return DdgsEngine(SearchLimits().engine_seconds)


async def _searxng(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    from retrieval.engines.searxng import SearxngEngine

    if not settings.searxng_url:
        raise BadSettings("WELLREAD_SEARCH names searxng: set WELLREAD_SEARXNG_URL to its address.")
    return SearxngEngine(settings.searxng_url, await _client(stack))


async def _brave(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    from retrieval.engines.brave import BraveEngine

    return BraveEngine(_key("brave", settings.brave_api_key), await _client(stack))


async def _deepseek(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    from retrieval.engines.deepseek import DeepSeekEngine

    return DeepSeekEngine(_key("deepseek", settings.deepseek_api_key), await _client(stack))


async def _serper(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    from retrieval.engines.serper import SerperEngine

    return SerperEngine(_key("serper", settings.serper_api_key), await _client(stack))


async def _tavily(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    from retrieval.engines.tavily import TavilyEngine

    return TavilyEngine(_key("tavily", settings.tavily_api_key), await _client(stack))


async def _client(stack: AsyncExitStack) -> httpx2.AsyncClient:
    return await _opened_client(stack, httpx2.Timeout(SearchLimits().engine_seconds))


async def _opened_client(
    stack: AsyncExitStack, patience: httpx2.Timeout, base_url: str = "", key: SecretStr | None = None
) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    # In a thread: it reads the machine's certificates.
    client = await anyio.to_thread.run_sync(
        partial(httpx2.AsyncClient, trust_env=False, base_url=base_url, headers=headers, timeout=patience)
    )
    return await stack.enter_async_context(client)


def _key(engine: str, key: SecretStr | None) -> SecretStr:
    """Return the key of an engine, ready for a header. Raises BadSettings, which never shows it."""
    setting = f"WELLREAD_{engine.upper()}_API_KEY"
    ready = _ready_key(setting, key)
    if ready is None:
        raise BadSettings(f"WELLREAD_SEARCH names {engine}: set {setting} to your key for it.")
    return ready


def _ready_key(setting: str, key: SecretStr | None) -> SecretStr | None:
    """Return a key ready for a header; None where none is set. Raises BadSettings, which never shows it."""
    text = key.get_secret_value().strip() if key else ""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadSettings(f"{setting}: holds a character that no key has. Copy the key once more.")
    return SecretStr(text) if text else None


async def _sample(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    from retrieval.sample_web import SampleWeb

    web = await stack.enter_async_context(SampleWeb(settings.models_dir / "sample-web"))
    # The fetcher may open this one port of this one address, and no other private one.
    nets.append(parse_allowed_net(f"127.0.0.1/32:{web.port}"))
    # In a thread, as below: the package of its index reads files on import.
    return await anyio.to_thread.run_sync(_sample_engine, web)


def _sample_engine(web: "SampleWeb") -> SearchEngine:
    from retrieval.engines.sample import SampleEngine

    return SampleEngine(web)


async def _local(settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet]) -> SearchEngine:
    return await stack.enter_async_context(await anyio.to_thread.run_sync(_local_engine, settings))


def _local_engine(settings: Settings) -> "LocalEngine":
    from retrieval.engines.local import LocalEngine

    return LocalEngine(local_folder(settings))


def local_folder(settings: Settings) -> LocalFolder:
    """Return the folder of WELLREAD_LOCAL_DIR. Raises BadSettings."""
    if settings.local_dir is None:
        raise BadSettings("WELLREAD_SEARCH names local: set WELLREAD_LOCAL_DIR to the folder with your files.")
    try:
        return LocalFolder(settings.local_dir, LocalLimits())
    except OSError as error:
        raise BadSettings(f"WELLREAD_LOCAL_DIR: {error}. It must be a folder that can be read.") from error


async def files_searched(settings: Settings) -> str | None:
    """Say how many files the engine local searches, if it is named. Raises BadSettings."""
    if "local" not in settings.search:
        return None
    folder = await anyio.to_thread.run_sync(local_folder, settings)
    count = await anyio.to_thread.run_sync(lambda: sum(1 for _ in folder.files()))
    return f"local: {count} files of known kinds in {folder.root}"


async def _with_files(fetcher: PageFetcher, settings: Settings) -> PageFetcher:
    """Let the files of the local folder be read when it is searched, and no others."""
    if "local" not in settings.search:
        return fetcher
    return RoutedFetcher(fetcher, await anyio.to_thread.run_sync(local_folder, settings))


ENGINES: dict[str, EngineOpener] = {
    "brave": _brave,
    "ddgs": _ddgs,
    "deepseek": _deepseek,
    "local": _local,
    "sample": _sample,
    "searxng": _searxng,
    "serper": _serper,
    "tavily": _tavily,
}
# On this machine: there is nobody to be patient with.
OWN = frozenset({"local", "sample"})


async def _engine(
    name: str, settings: Settings, stack: AsyncExitStack, nets: list[AllowedNet], shared: Shared
) -> SearchEngine:
    engine = await _known("WELLREAD_SEARCH", name, ENGINES)(settings, stack, nets)
    return engine if name in OWN else PatientEngine(engine, CooldownLimits(), shared)


def _embedded(settings: Settings) -> Embedder:
    from retrieval.embedders.embedded import EmbeddedEmbedder
    from retrieval.weights import draw_progress

    return EmbeddedEmbedder(settings.models_dir, draw_progress)


def _sentence_transformers(settings: Settings) -> Embedder:
    from retrieval.embedders.joined import JoinedEmbedder
    from retrieval.embedders.sentence_transformers import SentenceTransformersEmbedder

    return JoinedEmbedder(SentenceTransformersEmbedder(settings.embedder_model or "intfloat/multilingual-e5-small"))


def _hashing(settings: Settings) -> Embedder:
    from retrieval.embedders.hashing import HashingEmbedder

    return HashingEmbedder()


def _openai_embedder(settings: Settings) -> Embedder:
    from retrieval.embedders.openai_compatible import OpenAICompatibleEmbedder

    url = _needed("WELLREAD_EMBEDDER=openai", "WELLREAD_EMBEDDER_URL", settings.embedder_url)
    model = _needed("WELLREAD_EMBEDDER=openai", "WELLREAD_EMBEDDER_MODEL", settings.embedder_model)
    return OpenAICompatibleEmbedder(url, model, _ready_key("WELLREAD_EMBEDDER_API_KEY", settings.embedder_api_key))


EMBEDDERS: dict[str, Callable[[Settings], Embedder | None]] = {
    "embedded": _embedded,
    "sentence-transformers": _sentence_transformers,
    "openai": _openai_embedder,
    "hashing": _hashing,
    "none": lambda settings: None,
}


def embedder_name(settings: Settings) -> str:
    """Return the embedder that "auto" means here: sentence-transformers beside a GPU, else the embedded one."""
    if settings.embedder != "auto":
        return settings.embedder
    if find_spec("sentence_transformers") and find_spec("faiss"):
        from retrieval.index import on_gpu

        if on_gpu():
            return "sentence-transformers"
    return "embedded"


def embedding_of(settings: Settings) -> Embedding:
    """Open the embedder; its weights are fetched on first use. Blocks. Raises BadSettings or WeightsError."""
    name = embedder_name(settings)
    try:
        return Embedding(name, _known("WELLREAD_EMBEDDER", name, EMBEDDERS)(settings), _fast(name))
    except RetrievalError as error:
        raise BadSettings(f"WELLREAD_EMBEDDER={settings.embedder}: {error}") from error


def _sentence_transformers_reranker(settings: Settings) -> Reranker:
    from retrieval.rerankers.sentence_transformers import SentenceTransformersReranker

    model = _needed("WELLREAD_RERANKER=sentence-transformers", "WELLREAD_RERANKER_MODEL", settings.reranker_model)
    return SentenceTransformersReranker(model)


def _openai_reranker(settings: Settings) -> Reranker:
    from retrieval.rerankers.openai_compatible import OpenAICompatibleReranker

    url = _needed("WELLREAD_RERANKER=openai", "WELLREAD_RERANKER_URL", settings.reranker_url)
    model = _needed("WELLREAD_RERANKER=openai", "WELLREAD_RERANKER_MODEL", settings.reranker_model)
    return OpenAICompatibleReranker(url, model, _ready_key("WELLREAD_RERANKER_API_KEY", settings.reranker_api_key))


RERANKERS: dict[str, Callable[[Settings], Reranker | None]] = {
    "none": lambda settings: None,
    "sentence-transformers": _sentence_transformers_reranker,
    "openai": _openai_reranker,
}


def _reranker(settings: Settings) -> Reranker | None:
    try:
        return _known("WELLREAD_RERANKER", settings.reranker, RERANKERS)(settings)
    except RetrievalError as error:
        raise BadSettings(f"WELLREAD_RERANKER={settings.reranker}: {error}") from error


def _needed(why: str, setting: str, value: str | None) -> str:
    if not value:
        raise BadSettings(f"{why} needs {setting}: set it.")
    return value


def _fast(embedder: str) -> bool:
    """Tell whether vectors cost little here: on a processor of this machine they do not."""
    if embedder == "sentence-transformers":
        from retrieval.index import on_gpu

        return on_gpu()
    return embedder == "openai"


async def _model(settings: Settings, stack: AsyncExitStack) -> Model:
    if settings.model_url:
        return await _remote_model(settings, stack)
    if settings.embedded_model == "echo":
        from agent.models.echo import EchoModel

        return EchoModel()
    return await _embedded_model(settings, stack)


async def _remote_model(settings: Settings, stack: AsyncExitStack) -> Model:
    from agent.models.openai_compatible import OpenAICompatibleModel

    key = _ready_key("WELLREAD_MODEL_API_KEY", settings.model_api_key)
    patience = httpx2.Timeout(MODEL_SILENCE_SECONDS, connect=MODEL_CONNECT_SECONDS)
    client = await _opened_client(stack, patience, settings.model_url or "", key)
    client.event_hooks = {"request": [_tell_trace]}
    think = settings.model_think == "on"
    return OpenAICompatibleModel(client, settings.model_name, settings.model_profile, think=think)


async def _tell_trace(request: httpx2.Request) -> None:
    request.headers.update(trace_headers.get())


async def _embedded_model(settings: Settings, stack: AsyncExitStack) -> Model:
    from agent.models.embedded import WEIGHTS, EmbeddedModel
    from retrieval.weights import draw_progress, ensure

    weights = WEIGHTS[settings.embedded_model]
    path = await anyio.to_thread.run_sync(partial(ensure, weights, settings.models_dir, draw_progress))
    return await stack.enter_async_context(EmbeddedModel(path, weights.name))


def _known(setting: str, name: str, table: dict[str, T]) -> T:
    if name not in table:
        raise BadSettings(f"{setting}: {name!r} is not known; known are: {', '.join(sorted(table))}.")
    return table[name]


@dataclass(frozen=True, slots=True)
class NeededFile:
    """Files that what the settings name is opened from; fetched or made on first use where one is missing."""

    name: str
    paths: tuple[Path, ...]
    fetched_bytes: int

    @property
    def here(self) -> bool:
        """Whether nothing has to be fetched. Blocks."""
        return all(path.exists() for path in self.paths)


@dataclass(frozen=True, slots=True)
class Parts:
    """Opens what the settings name one by one, so that one that fails hides no other; a stack closes each.

    Each raises what `open_tools` does.
    """

    settings: Settings
    nets: list[AllowedNet] = field(default_factory=list)

    async def model(self, stack: AsyncExitStack) -> Model:
        """Open the model; weights are fetched where they are missing."""
        return await _model(self.settings, stack)

    async def cache(self, stack: AsyncExitStack) -> Cache | None:
        """Open the cache."""
        return await open_cache(self.settings, stack)

    async def shared(self, stack: AsyncExitStack) -> Shared:
        """Open what replicas share."""
        return await _shared(self.settings, stack)

    def memory(self) -> Memory | None:
        """Open what was read before; who does closes it. Blocks."""
        return memory_store(self.settings, self.embedder_name(), MemoryLimits())

    async def engine(self, name: str, stack: AsyncExitStack) -> SearchEngine:
        """Open one of the search engines."""
        return await _engine(name, self.settings, stack, self.nets, InProcess())

    async def extractor(self, stack: AsyncExitStack) -> PageExtractor:
        """Start the workers that clean pages."""
        return await stack.enter_async_context(Extractor(ExtractLimits()))

    def embedder_name(self) -> str:
        """Tell which embedder the settings mean here. Blocks."""
        return embedder_name(self.settings)

    def embedder(self) -> Embedder | None:
        """Open the embedder. Blocks."""
        return embedding_of(self.settings).embedder

    def reranker(self) -> Reranker | None:
        """Open the reranker. Blocks."""
        return _reranker(self.settings)

    def embedder_files(self) -> NeededFile | None:
        """Tell what the embedder is opened from; None where it is no file of this machine. Blocks."""
        if self.embedder_name() != "embedded":
            return None
        from retrieval.embedders.embedded import GRAPH, TOKENIZER
        from retrieval.embedders.embedded import WEIGHTS as EMBEDDER

        paths = (self.settings.models_dir / GRAPH, self.settings.models_dir / TOKENIZER)
        return NeededFile("embedder", paths, EMBEDDER.bytes)

    def model_files(self) -> NeededFile | None:
        """Tell what the model is opened from; None where it is no file of this machine."""
        if self.settings.model_url or self.settings.embedded_model == "echo":
            return None
        from agent.models.embedded import WEIGHTS

        weights = WEIGHTS[self.settings.embedded_model]
        return NeededFile("model", (self.settings.models_dir / weights.name,), weights.bytes)
