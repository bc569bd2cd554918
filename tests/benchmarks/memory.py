"""Measures what the memory of what was read gives without any web: evidence, time, and the recall of its index.

    python -m tests.benchmarks.memory [--documents 5000] [--a-set 60] [--folder FOLDER]

The documents are fetched, cleaned and kept by the product, for no question; their vectors are those that it computes
while nobody asks. Then the web is stopped. `--folder` keeps the memory, and vectors as they are made, for the next run.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np

from agent.build import open_tools
from agent.settings import Settings
from agent.tools import Tools
from retrieval.cached import CachedEmbedder
from retrieval.caches.sqlite import SqliteCache
from retrieval.lasting_index import Kind, empty
from retrieval.limits import CacheLimits, MemoryLimits
from retrieval.memories.disk import DiskMemory
from retrieval.rank import Vectors
from retrieval.types import Document, Hit, Page
from tests.benchmarks import direct, servers
from tests.benchmarks.recall import grouped, score
from tests.benchmarks.tables import table, write

Row = dict[str, Any]
Place = tuple[str, str, str]
# Documents that no question needs are short but for so many: a vector costs 40 ms and more.
SHORT_CHARS, LONG_ONES = 6_000, 30
AT_ONCE = 8
MEMORY = "memory"
NEIGHBORS = 10
WARM_UP = 5


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--documents", type=int, default=5_000)
    cli.add_argument("--a-set", type=int, default=60, help="questions at most of each set")
    cli.add_argument("--folder", type=Path, help="where the memory is kept for the next run")
    args = cli.parse_args()
    servers.require_data()
    asked = chosen_questions(args.a_set)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        url, told = filled(folder, chosen_documents(asked, args.documents))
        settings = servers.settings(url, WELLREAD_MEMORY=str(folder / MEMORY))
        rows = anyio.run(answered, asked, settings)
        write("memory", report(rows, told, *_vectors(folder / MEMORY, asked, settings)))


def filled(folder: Path, places: Sequence[Place]) -> tuple[str, str]:
    """Fill a memory, unless that was done before; gives the address of its web, and tells what it took."""
    done = folder / "filled.json"
    if not done.exists():
        with servers.web() as url:
            settings = servers.settings(url, WELLREAD_MEMORY=str(folder / MEMORY))
            told = anyio.run(remembered, places, settings, folder / "vectors.sqlite")
        done.write_text(json.dumps([url, told]), encoding="utf-8")
    url, told = json.loads(done.read_text(encoding="utf-8"))
    print(told, flush=True)
    return url, told


def chosen_questions(a_set: int) -> list[Row]:
    """Draw so many questions of each set, always the same ones."""
    rows = servers.questions("qa")
    random.Random(1).shuffle(rows)
    sets: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sets[row["set"]].append(row)
    return [row for name in sorted(sets) for row in sets[name][:a_set]]


def chosen_documents(asked: Sequence[Row], count: int) -> list[Place]:
    """Choose the documents that the questions need, and others drawn at random: host, path and title of each."""
    web = servers.data_module("localweb")
    needed = {name for row in asked for name in (*(item["doc_id"] for item in row["evidence"]), *row["gold_doc_ids"])}
    documents = [page for page in web.load_pages(servers.DATA / "data", None) if page.source is None]
    others = sorted((page for page in documents if page.path[1:] not in needed), key=lambda page: page.path)
    random.Random(1).shuffle(others)
    long = [page for page in others if len(page.text) > SHORT_CHARS][:LONG_ONES]
    short = [page for page in others if len(page.text) <= SHORT_CHARS]
    chosen = [page for page in documents if page.path[1:] in needed] + long + short
    return [(web.address(page.site), page.path, page.title) for page in chosen[:count]]


async def remembered(places: Sequence[Place], settings: Settings, vectors: Path) -> str:
    """Read documents and wait until all is kept of them; tells what that took."""
    start = time.perf_counter()
    async with open_tools(settings) as tools:
        keeper, port = tools.keeper, (settings.searxng_url or "").rsplit(":", 1)[1]
        assert keeper is not None
        keeper.embedder = CachedEmbedder(
            keeper.embedder, SqliteCache(vectors, CacheLimits()), CacheLimits(), "embedded"
        )
        read = [await _read(places[i : i + 200], tools, port) for i in range(0, len(places), 200)]
        took = time.perf_counter() - start
        while await anyio.to_thread.run_sync(keeper.lacks):  # noqa: ASYNC110  (the keeper tells when asked)
            await anyio.sleep(1)
    idle = time.perf_counter() - start - took
    return f"Of {len(places)} documents {sum(read)} were read in {took:.0f} s; their vectors took {idle:.0f} s."


async def _read(places: Sequence[Place], tools: Tools, port: str) -> int:
    """Read some documents and have them kept."""
    limiter, documents = anyio.CapacityLimiter(AT_ONCE), []

    async def one(host: str, path: str, title: str) -> None:
        async with limiter:
            page = await tools.fetcher.fetch(Hit(f"http://{host}:{port}{path}", title))
            outcome = await tools.extractor.extract(page) if isinstance(page, Page) else page
        if isinstance(outcome, Document):
            documents.append(outcome)

    async with anyio.create_task_group() as tasks:
        for place in places:
            tasks.start_soon(one, *place)
    assert tools.keeper is not None
    tools.keeper.note(documents, {})
    while tools.keeper.waiting:  # noqa: ASYNC110  (the keeper tells by a count)
        await anyio.sleep(0.05)
    print(f"kept {len(documents)} more", flush=True)
    return len(documents)


async def answered(asked: Sequence[Row], settings: Settings) -> list[Row]:
    """Read for every question, one after another, without a web."""
    async with open_tools(settings) as tools:
        for row in asked[:WARM_UP]:
            await direct.read(f"{row['question']} …", tools, tools.settings.pages)
        return [await _answered(row, tools) for row in asked]


async def _answered(row: Row, tools: Tools) -> Row:
    start, worked = time.perf_counter(), time.process_time()
    reading = await direct.read(row["question"], tools, tools.settings.pages)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    assert all(page.cached for page in reading.coverage.pages if page.status == "read")
    text = reading.context.text[: direct.CONTEXT_CHARS]
    stages = reading.timings
    return {
        "set": row["set"],
        "language": row["lang"],
        "all": score(row, text),
        "ms": seconds * 1000,
        "cpu_ms": worked * 1000,
        "read": reading.coverage.read,
        "stages": (stages.search, stages.fetch, stages.rank, stages.pack),
    }


@contextmanager
def _opened(folder: Path) -> Iterator[DiskMemory]:
    (file,) = folder.glob("*.sqlite")
    memory = DiskMemory(folder, file.stem, MemoryLimits())
    try:
        yield memory
    finally:
        memory.close()


def _vectors(folder: Path, asked: Sequence[Row], settings: Settings) -> tuple[Vectors, Vectors]:
    """Return the vectors that are kept, and those of the questions."""
    from retrieval.embedders.embedded import EmbeddedEmbedder
    from retrieval.weights import draw_progress

    with _opened(folder) as memory:
        kept = memory.all_vectors()[1]
    embedder = EmbeddedEmbedder(settings.models_dir, draw_progress)
    return kept, embedder.embed(tuple(row["question"] for row in asked), "query")


def found_of_exact(kind: Kind, kept: Vectors, queries: Vectors) -> tuple[float, float, float]:
    """Return an index's recall of the exact nearest, its milliseconds a query, and the seconds of making it."""
    exact = np.argsort(-(queries @ kept.T), axis=1, kind="stable")[:, :NEIGHBORS]
    start = time.perf_counter()
    index = empty(kind, kept)
    index.add(kept)
    made = time.perf_counter() - start
    start = time.perf_counter()
    rows = [index.search(query[np.newaxis], NEIGHBORS)[1][0] for query in queries]
    ms = (time.perf_counter() - start) * 1000 / len(queries)
    same = [len(set(near.tolist()) & set(best.tolist())) for near, best in zip(rows, exact, strict=True)]
    return statistics.fmean(same) / NEIGHBORS, ms, made


def report(rows: list[Row], told: str, kept: Vectors, queries: Vectors) -> str:
    """Write a line for each set and language, and one for each kind of index."""
    lines = []
    for name, group in grouped(rows):
        ms = sorted(row["ms"] for row in group)
        share = statistics.fmean(row["all"] for row in group)
        pages = statistics.median(row["read"] for row in group)
        took = (statistics.median(ms), ms[int(len(ms) * 0.95)], statistics.median(row["cpu_ms"] for row in group))
        lines.append([name, len(group), share, *(f"{each:.0f}" for each in took), pages])
    stages = [statistics.median(row["stages"][i] for row in rows) for i in range(4)]
    kinds: tuple[Kind, ...] = ("flat", "hnsw", "ivf")
    indexes = [[kind, *found_of_exact(kind, kept, queries)] for kind in kinds]
    return (
        table(["questions", "n", "`ev_all`", "ms, median", "ms, 95 %", "CPU ms, median", "pages, median"], lines)
        + f"\n\n{told} {len(kept)} passages have one. Milliseconds of the stages in the median: search {stages[0]:g}, "
        + f"pages {stages[1]:g}, rank {stages[2]:g}, pack {stages[3]:g}. "
        + f"The machine's load was {os.getloadavg()[1]:.1f}.\n\n"
        + table(["index", f"recall of the exact {NEIGHBORS}", "ms a query", "s to make it"], indexes)
    )


if __name__ == "__main__":
    main()
