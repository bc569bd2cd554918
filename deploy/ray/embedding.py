"""Makes vectors on other machines: the deployment that does it, and the embedder that stands for it.

Passages of many questions meet in one replica, which a share of a GPU is enough for.
"""

from dataclasses import dataclass
from functools import partial

import anyio.to_thread
from anyio import CapacityLimiter
from ray import serve
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle

from agent.build import FAST, Embedding, embedding_of
from agent.settings import load_settings
from agent.telemetry import log_to_stderr
from deploy.ray.lost import Lost, asked, asked_from_thread
from retrieval.errors import EmbedderUnavailable
from retrieval.limits import RankLimits
from retrieval.rank import TextKind, Vectors

# How long one call may take, waiting behind other questions included.
EMBED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class About:
    """What is to be known of an embedder before its first vector; see `retrieval.rank.Embedder`."""

    name: str
    fast: bool
    dimensions: int
    unrelated_below: float | None


@serve.deployment
class Embedders:
    """The embedder that the settings name."""

    async def __init__(self) -> None:
        settings = load_settings()
        log_to_stderr(settings.log_level.upper(), settings.log_format)
        self._embedding = await anyio.to_thread.run_sync(embedding_of, settings)
        # Where it is fast, what comes together is embedded together.
        self._threads = CapacityLimiter((FAST if self._embedding.fast else RankLimits()).at_once)

    async def about(self) -> About | None:
        """Describe the embedder; None where the settings want none."""
        embedding = self._embedding
        if embedding.embedder is None:
            return None
        dimensions = embedding.embedder.dimensions
        return About(embedding.name, embedding.fast, dimensions, embedding.embedder.unrelated_below)

    async def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts. Raises EmbedderUnavailable."""
        assert self._embedding.embedder is not None
        work = partial(self._embedding.embedder.embed, texts, kind)
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


class RemoteEmbedder:
    """An embedder that lets the deployment do the work. `trouble` is what went wrong the last time."""

    def __init__(self, embedders: DeploymentHandle, about: About) -> None:
        self._embedders, self._about = embedders, about
        self.trouble: str | None = None

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._about.dimensions

    @property
    def unrelated_below(self) -> float | None:
        """The cosine under which a passage has nothing to do with a query; None where that is not known."""
        return self._about.unrelated_below

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts elsewhere. Blocks. Raises EmbedderUnavailable."""
        try:
            vectors = asked_from_thread(lambda: self._embedders.embed.remote(texts, kind), EMBED_SECONDS)
        except (EmbedderUnavailable, RayError, Lost, TimeoutError) as error:
            self.trouble = type(error).__name__
            raise EmbedderUnavailable(f"no embedder of the cluster answered: {self.trouble}") from error
        self.trouble = None
        return vectors


async def remote_embedding(embedders: DeploymentHandle) -> Embedding:
    """Return the embedding of the cluster, once one of its machines is ready."""
    about = await asked(embedders.about.remote)
    if about is None:
        return Embedding("none", None, fast=False)
    return Embedding(about.name, RemoteEmbedder(embedders, about), about.fast)
