"""Checks of what the settings name: each part is opened by itself, used once as a question would, and closed."""

import time
from contextlib import AsyncExitStack, aclosing
from typing import Protocol, runtime_checkable

import anyio.to_thread

from agent.build import NeededFile, Parts, files_searched
from agent.doctor.finding import Finding, ok, warning
from agent.doctor.finding import failed as wrong
from agent.errors import BadSettings
from agent.reason import Finished, Model, Prompt
from agent.remember import REDIS, cache_file
from agent.types import Message
from retrieval.caches.sqlite_backup import described
from retrieval.errors import EngineError
from retrieval.rank import Embedder
from retrieval.types import Hit, Page, Query, Skipped

MB = 1e6
# Of a token for two letters some 250: what passages have.
PASSAGE = "The old harbour was rebuilt in stone after the flood, and the town council paid for it over ten years. " * 7
PASSAGES_AT_ONCE, EMBED_SECONDS = 8, 1.0
# Of fifty pages some ninety passages get a vector (docs/benchmarks.md).
PASSAGES_A_QUESTION, PATIENCE_SECONDS = 90, 15.0
QUESTION = Prompt((Message("user", "Say only: ready"),), 16, 16)
QUERY = Query("python")
PAGE = (
    b"<html><head><title>Harbour</title></head><body><article><p>" + PASSAGE.encode() + b"</p></article></body></html>"
)


@runtime_checkable
class Profiled(Protocol):
    """A model that is talked to in one of several ways."""

    @property
    def profile_name(self) -> str:
        """Which way."""
        ...


async def weights(parts: Parts) -> list[Finding]:
    """Tell which weights are on the disk, and what the first start fetches."""
    files = [await anyio.to_thread.run_sync(parts.embedder_files), parts.model_files()]
    found = [_weights(each, here=await _here(each)) for each in files if each]
    return found or [ok("weights", "none are needed on this machine")]


async def _here(file: NeededFile) -> bool:
    return await anyio.to_thread.run_sync(lambda: file.here)


def _weights(file: NeededFile, *, here: bool) -> Finding:
    name, where = f"weights of the {file.name}", file.paths[0]
    if here:
        return ok(name, str(where))
    return warning(name, f"not here yet: the first start fetches {file.fetched_bytes / MB:.0f} MB into {where.parent}.")


def _not_tried(name: str) -> Finding:
    return warning(name, "not tried: its weights are not here yet. `wellread serve` fetches them.")


async def cache(parts: Parts) -> list[Finding]:
    """Open the cache, and tell how large it is."""
    async with AsyncExitStack() as stack:
        if await parts.cache(stack) is None:
            return [ok("cache", "off: every question is searched and read anew")]
        if parts.settings.cache.get_secret_value().strip().startswith(REDIS):
            return [ok("cache", "the Redis server answers")]
        file = await anyio.to_thread.run_sync(described, cache_file(parts.settings))
    days = (time.time() - file.written) / 86_400
    return [
        ok("cache", f"{file.path}: {file.bytes / MB:.1f} MB, {file.entries} entries, last written {days:.1f} days ago")
    ]


async def shared(parts: Parts) -> list[Finding]:
    """Open what replicas share."""
    async with AsyncExitStack() as stack:
        await parts.shared(stack)
    told = "the Redis server answers" if parts.settings.shared else "nothing: this process counts for itself"
    return [ok("shared", told)]


async def remembered(parts: Parts) -> list[Finding]:
    """Open the memory of what was read, and read in it."""
    opened = await anyio.to_thread.run_sync(parts.memory)
    if opened is None:
        return [ok("remembered", "off: nothing that was read is kept to be searched")]
    try:
        await anyio.to_thread.run_sync(opened.unfinished, 1)
    finally:
        await anyio.to_thread.run_sync(opened.close)
    return [ok("remembered", "the memory of what was read can be opened and read")]


async def reading(parts: Parts) -> list[Finding]:
    """Clean one page in the workers: they need memory, processes and a limit on both."""
    async with AsyncExitStack() as stack:
        extractor = await parts.extractor(stack)
        start = time.perf_counter()
        url = "https://harbour.example/"
        outcome = await extractor.extract(Page(Hit(url, "Harbour"), url, "text/html", "utf-8", PAGE, 0))
    if isinstance(outcome, Skipped):
        return [wrong("reading", f"a plain page was not cleaned ({outcome.reason}: {outcome.detail}).")]
    return [ok("reading", f"a page was cleaned in {_ms(start)} ms")]


async def embedder(parts: Parts) -> list[Finding]:
    """Embed passages for a while, and tell how many it makes."""
    files = await anyio.to_thread.run_sync(parts.embedder_files)
    if files and not await _here(files):
        return [_not_tried("embedder")]
    opened = await anyio.to_thread.run_sync(parts.embedder)
    if opened is None:
        return [ok("embedder", "none: passages are ranked by words alone")]
    name = await anyio.to_thread.run_sync(parts.embedder_name)
    speed = await anyio.to_thread.run_sync(passages_a_second, opened)
    return [judged_speed(f"{name}, {opened.dimensions} dimensions, {speed:.0f} passages/s", speed)]


def judged_speed(told: str, passages_a_second: float) -> Finding:
    """Tell whether the vectors of one question come in a time that people wait."""
    seconds = PASSAGES_A_QUESTION / max(passages_a_second, 0.01)
    if seconds <= PATIENCE_SECONDS:
        return ok("embedder", told)
    remedy = "Give it more cores, or set WELLREAD_EMBEDDER to a server elsewhere, or to none."
    return warning("embedder", f"{told}: those of one question take some {seconds:.0f} s. {remedy}")


def passages_a_second(opened: Embedder) -> float:
    """Embed passages of a usual length for about a second. Blocks."""
    opened.embed((PASSAGE,), "passage")
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < EMBED_SECONDS:
        # Each different, as of different pages: what is the same may be remembered.
        opened.embed(tuple(f"{done + i}. {PASSAGE}" for i in range(PASSAGES_AT_ONCE)), "passage")
        done += PASSAGES_AT_ONCE
    return done / (time.perf_counter() - start)


async def reranker(parts: Parts) -> list[Finding]:
    """Score one passage."""
    opened = await anyio.to_thread.run_sync(parts.reranker)
    if opened is None:
        return [ok("reranker", "none")]
    start = time.perf_counter()
    await anyio.to_thread.run_sync(opened.score, "Who paid for the harbour?", (PASSAGE,))
    return [ok("reranker", f"{parts.settings.reranker}, one passage in {_ms(start)} ms")]


async def search(parts: Parts) -> list[Finding]:
    """Ask every engine at once; while one answers, others may fail, but none may stop the start."""
    found: dict[str, Finding] = {}

    async def ask(name: str) -> None:
        found[name] = await _asked(parts, name)

    async with anyio.create_task_group() as tasks:
        for name in parts.settings.search:
            tasks.start_soon(ask, name)
    told = judged([found[name] for name in dict.fromkeys(parts.settings.search)])
    if folder := await files_searched(parts.settings):
        told.append(ok("search files", folder))
    return told


def judged(engines: list[Finding]) -> list[Finding]:
    """Let engines that fail be missed, but not needed, where another answers; where none does, all failed."""
    answered = any(each.state == "ok" for each in engines)
    return [wrong(each.name, each.text) if each.state == "warning" and not answered else each for each in engines]


async def _asked(parts: Parts, name: str) -> Finding:
    """Ask one engine; failed is what would stop the start."""
    name_of_check = f"search {name}"
    async with AsyncExitStack() as stack:
        try:
            engine = await parts.engine(name, stack)
        except BadSettings as error:
            return wrong(name_of_check, str(error))
        start = time.perf_counter()
        try:
            hits = await engine.search(QUERY, 1)
        except EngineError as error:
            remedy = "Check the network, its key and its address, or name another in WELLREAD_SEARCH."
            return warning(name_of_check, f"{error}. {remedy}")
    return ok(name_of_check, f"{len(hits)} results in {_ms(start)} ms")


async def model(parts: Parts) -> list[Finding]:
    """Ask the model for a word, and tell when the first one came."""
    files = parts.model_files()
    if files and not await _here(files):
        return [_not_tried("model")]
    async with AsyncExitStack() as stack:
        opened = await parts.model(stack)
        info = await opened.info()
        start = time.perf_counter()
        said = await _says_something(opened)
        told = f"{info.id}, {info.context_tokens} tokens"
        told += f", talked to as {opened.profile_name}" if isinstance(opened, Profiled) else ""
    if not said:
        return [wrong("model", f"{told}: it ends without a word. Ask it past Wellread, and look at its server's log.")]
    return [ok("model", f"{told}, its first one after {_ms(start)} ms")]


async def _says_something(opened: Model) -> bool:
    """Wait for the first token."""
    async with aclosing(opened.stream(QUESTION)) as events:
        async for event in events:
            if not isinstance(event, Finished):
                return True
    return False


def _ms(start: float) -> int:
    return round((time.perf_counter() - start) * 1000)
