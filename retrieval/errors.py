"""The errors of retrieval. A page that cannot be read is not an error but a `Skipped` value.

RetrievalError
├── SearchFailed          every engine failed; names each and its error
├── EngineError           one engine failed; collected, never fatal alone
│   ├── EngineRefused     it turned us away: too many requests, a CAPTCHA, a block, a used-up quota, a bad key
│   └── EngineCooling     it was not asked: it failed lately and is left alone for a while
├── EmbedderUnavailable   vectors cannot be computed; ranking falls back to words and says so
├── CacheUnavailable      the store of a cache fails; while running a miss, at the start an error
├── MemoryUnavailable     what was read cannot be kept or searched; the web is, and the outage is noted
├── NoPlace               all places of which there are a few are taken, and who asked does not wait
├── SharedUnavailable     what replicas share cannot be had; while running each goes on alone, at the start an error
├── RecordingError        a recording cannot be written or read, or lacks what its replay asks for
├── RerankerUnavailable   passages cannot be reranked; the order stays as it was and says so
└── WeightsError          embedded weights could not be fetched or are not what they should be
"""

from collections.abc import Mapping


class RetrievalError(Exception):
    """Any failure of retrieval."""


class EngineError(RetrievalError):
    """One search engine could not answer. The message is safe for clients: no keys, no addresses of this machine."""


class EngineRefused(EngineError):
    """The engine turned us away. `retry_after_seconds` is for how long, when it said so, else 0."""

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class EngineCooling(EngineError):
    """The engine was not asked, because it failed lately; the message tells how, and when it is asked again."""


class SearchFailed(RetrievalError):
    """No engine could answer. `engines` maps each engine's name to its error."""

    def __init__(self, engines: Mapping[str, str]) -> None:
        self.engines = dict(engines)
        super().__init__("; ".join(f"{name}: {error}" for name, error in self.engines.items()))


class EmbedderUnavailable(RetrievalError):
    """The embedder cannot compute vectors now."""


class CacheUnavailable(RetrievalError):
    """The store of a cache cannot be read or written; the message names it, without its password."""


class MemoryUnavailable(RetrievalError):
    """The memory of what was read cannot be used; the message names the place, without its password."""


class NoPlace(RetrievalError):
    """All places are taken."""


class SharedUnavailable(RetrievalError):
    """The store that replicas share does not answer; the message names it, without its password."""


class RecordingError(RetrievalError):
    """A recording cannot be written or read, or lacks what its replay asks for; the message names it."""


class RerankerUnavailable(RetrievalError):
    """The reranker cannot be used. The message is safe for clients."""


class WeightsError(RetrievalError):
    """Embedded weights could not be fetched, or their hash is not the expected one."""
