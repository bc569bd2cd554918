"""What an answer is made with: the opened engines, one object for the whole server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from anyio import CapacityLimiter

from agent.earlier import Earlier
from agent.errors import AgentError
from agent.reason import Model
from agent.settings import Settings
from retrieval.cooldown import PatientEngine
from retrieval.limits import ChunkLimits, FetchLimits, RankLimits, SearchLimits
from retrieval.rank import Embedder
from retrieval.read import PageExtractor, PageFetcher
from retrieval.remembering import Keeper
from retrieval.rerank import Reranker
from retrieval.search import SearchEngine
from retrieval.shared import InProcess, Shared

# What an engine says of itself when nothing is known to be wrong with it.
WELL = frozenset({"ok", "not asked yet"})


@runtime_checkable
class Dispensable(Protocol):
    """What answers can do without: they come more slowly, or in a poorer order."""

    @property
    def trouble(self) -> str | None:
        """What went wrong the last time it was used; None when nothing did."""
        ...


@dataclass(slots=True)
class Tools:
    """Everything opened by `agent.build.open_tools`; closed with it.

    `live_engines` are the engines without what is remembered of them, for checks; the engines themselves when empty.
    `dispensable` are by name the cache, the embedder, the reranker, the memory and what replicas share, where one may
    fail. `keeper` keeps what is read, where there is a memory.
    """

    settings: Settings
    model: Model
    engines: Sequence[SearchEngine]
    fetcher: PageFetcher
    extractor: PageExtractor
    embedder: Embedder | None
    reranker: Reranker | None = None
    search_limits: SearchLimits = field(default_factory=SearchLimits)
    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    chunk_limits: ChunkLimits = field(default_factory=ChunkLimits)
    rank_limits: RankLimits = field(default_factory=RankLimits)
    live_engines: Sequence[SearchEngine] = ()
    dispensable: Mapping[str, Dispensable] = field(default_factory=dict)
    shared: Shared = field(default_factory=InProcess)
    earlier: Earlier = field(default_factory=Earlier)
    keeper: Keeper | None = None
    rank_limiter: CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.rank_limiter = CapacityLimiter(self.rank_limits.at_once)

    async def check(self) -> dict[str, str]:
        """Tell of model and search "ok" or a plain reason. Nothing is searched: what failed lately counts."""
        return {"model": await self._check_model(), "search": self._check_search()}

    @property
    def _live(self) -> Sequence[SearchEngine]:
        return self.live_engines or self.engines

    async def _check_model(self) -> str:
        try:
            await self.model.info()
        except AgentError as error:
            return str(error)
        return "ok"

    def _check_search(self) -> str:
        cooling = [(engine.name, engine.cooling) for engine in self._live if isinstance(engine, PatientEngine)]
        if self._live and len(cooling) == len(self._live) and all(why for _, why in cooling):
            return "; ".join(f"{name}: {why}" for name, why in cooling)
        return "ok"

    def engine_health(self) -> dict[str, str]:
        """Tell of each engine "ok", "not asked yet", or what is wrong; of those on this machine there is no more."""
        return {engine.name: engine.health if isinstance(engine, PatientEngine) else "ok" for engine in self._live}

    async def upstreams(self) -> dict[str, bool]:
        """Tell whether all that answers are made with works, as last seen; an engine never asked counts as well."""
        engines = {f"engine {name}": state in WELL for name, state in self.engine_health().items()}
        dispensable = {name: not each.trouble for name, each in self.dispensable.items()}
        return {name: state == "ok" for name, state in (await self.check()).items()} | engines | dispensable

    def degraded(self) -> dict[str, str]:
        """Tell what fails of that which answers can do without, and how."""
        return {name: trouble for name, each in self.dispensable.items() if (trouble := each.trouble)}
