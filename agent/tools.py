"""What an answer is made with: the opened engines, one object for the whole server."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from anyio import CapacityLimiter

from agent.errors import AgentError
from agent.reason import Model
from agent.settings import Settings
from retrieval.errors import RetrievalError
from retrieval.limits import ChunkLimits, FetchLimits, RankLimits, SearchLimits
from retrieval.rank import Embedder
from retrieval.read import PageExtractor, PageFetcher
from retrieval.search import SearchEngine, search
from retrieval.types import EngineReport, Query


@dataclass(slots=True)
class Tools:
    """Everything opened by `agent.build.open_tools`; closed with it.

    `live_engines` are the engines without what is remembered of them, for checks; the engines themselves when empty.
    """

    settings: Settings
    model: Model
    engines: Sequence[SearchEngine]
    fetcher: PageFetcher
    extractor: PageExtractor
    embedder: Embedder | None
    search_limits: SearchLimits = field(default_factory=SearchLimits)
    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    chunk_limits: ChunkLimits = field(default_factory=ChunkLimits)
    rank_limits: RankLimits = field(default_factory=RankLimits)
    rank_limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    last_engines: tuple[EngineReport, ...] = ()
    live_engines: Sequence[SearchEngine] = ()

    async def check(self, *, live: bool = False) -> dict[str, str]:
        """Tell of model and search "ok" or a plain reason. `live` searches now instead of recalling the last search."""
        return {"model": await self._check_model(), "search": await self._check_search(live=live)}

    async def _check_model(self) -> str:
        try:
            await self.model.info()
        except AgentError as error:
            return str(error)
        return "ok"

    async def _check_search(self, *, live: bool) -> str:
        if live:
            engines = self.live_engines or self.engines
            try:
                self.last_engines = (await search([Query("python")], engines, self.search_limits)).engines
            except RetrievalError as error:
                return str(error)
        failed = [report for report in self.last_engines if report.status == "failed"]
        if self.last_engines and len(failed) == len(self.last_engines):
            return "; ".join(f"{report.name}: {report.error}" for report in failed)
        return "ok"
