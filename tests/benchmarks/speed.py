"""Measures the whole reading of fifty real pages, without latency, beside the plain way on the same machine.

    python -m tests.benchmarks.speed [--repeat 5]

The plain way: the same pages, requested one after another, cleaned by trafilatura, every passage through the same
model, FAISS; the model as sentence-transformers runs it, where that is installed, and as the product runs it. Then a
second question over the same pages, with the cache on.
"""

import argparse
import gzip
import logging
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import trafilatura

from agent.settings import Settings
from retrieval import index
from retrieval.chunk import chunk
from retrieval.embedders.embedded import EmbeddedEmbedder
from retrieval.embedders.sentence_transformers import SentenceTransformersEmbedder
from retrieval.limits import ChunkLimits
from retrieval.rank import Embedder, headed
from retrieval.types import Document
from retrieval.weights import draw_progress
from tests.benchmarks import servers, torch_e5
from tests.benchmarks.tables import table, write

STAGES = ("search", "fetch", "extract", "rank", "pack", "total")
# POST /v1/search takes so many queries.
MOST_QUERIES = 10


@dataclass(frozen=True, slots=True)
class Run:
    """One question: seconds of each way, pages and their bytes, passages that the plain way embedded, stages in ms.

    `plain`: seconds with each of the embedders.
    `again`: seconds with a cache: filling it, the same question again, another question over the same pages.
    `kept`: the share of pages of that other question which came from the cache.
    """

    ours: float
    plain: tuple[float, ...]
    pages: int
    bytes: int
    passages: int
    timings: dict[str, int]
    again: tuple[float, float, float]
    kept: float


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--repeat", type=int, default=5, help="questions")
    repeat = cli.parse_args().repeat
    servers.require_data()
    logging.disable(logging.CRITICAL)
    asked = [row["question"] for row in servers.questions("pages", ("htmlqa",))]
    pairs = list(zip(asked[:repeat], asked[repeat:], strict=False))
    with real_pages() as folder, servers.web("--data", folder) as url, tempfile.TemporaryDirectory() as models:
        embedders = _embedders(Path(models))
        runs = [_one(url, question, other, tuple(embedders.values())) for question, other in pairs]
    write("speed", report(runs, tuple(embedders)))


def _embedders(folder: Path) -> dict[str, Embedder]:
    """Open the model in each of the ways it is run here, by what to call that."""
    models_dir = Settings().models_dir
    embedders: dict[str, Embedder] = {"run as the product runs it": EmbeddedEmbedder(models_dir, draw_progress)}
    if find_spec("sentence_transformers"):
        path = torch_e5.save(models_dir, folder)
        embedders["run by sentence-transformers"] = SentenceTransformersEmbedder(path, "cpu")
    return embedders


@contextmanager
def real_pages() -> Iterator[str]:
    """Make a folder with the real pages alone, without those that the web makes of bare texts."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pages").symlink_to(servers.DATA / "data" / "pages")
        (root / "qa").mkdir()
        (root / "qa" / "docs.jsonl.gz").write_bytes(gzip.compress(b""))
        yield folder


def _one(url: str, question: str, other: str, embedders: Sequence[Embedder]) -> Run:
    """Read in each way, one right after the other: what else the machine does changes with time."""
    with servers.wellread(url) as server:
        servers.read(server, "warm up the embedder", pages=1)
        answer, ours = servers.read(server, question)
    pages = [page for page in answer["coverage"]["pages"] if page["status"] == "read"]
    plain = [_plain(question, [page["url"] for page in pages], embedder) for embedder in embedders]
    again, second = _again(url, question, other, answer["queries"][:MOST_QUERIES])
    sizes = sum(page["bytes"] for page in pages)
    kept = second["cached"] / max(1, second["read"])
    times = tuple(seconds for seconds, _ in plain)
    return Run(ours, times, len(pages), sizes, plain[0][1], answer["timings_ms"], again, kept)


def _again(url: str, question: str, other: str, queries: list[str]) -> tuple[tuple[float, float, float], Any]:
    """Read with a cache; gives seconds, and the coverage record of the other question."""
    with tempfile.TemporaryDirectory() as folder, servers.wellread(url, WELLREAD_CACHE=f"{folder}/cache") as server:
        servers.read(server, "warm up the embedder", pages=1)
        first, same = (servers.read(server, question)[1] for _ in range(2))
        answer, another = servers.read(server, other, queries=queries)
    return (first, same, another), answer["coverage"]


def _plain(question: str, urls: list[str], embedder: Embedder) -> tuple[float, int]:
    """Read pages in the plain way; gives seconds and the number of passages."""
    embedder.embed(("warm up",), "query")
    start = time.perf_counter()
    texts = [trafilatura.extract(_fetched(url), include_comments=False) or "" for url in urls]
    documents = [Document(url, "", text, "", None, "en") for url, text in zip(urls, texts, strict=True)]
    passages = [headed(passage) for document in documents for passage in chunk(document, ChunkLimits())]
    index.similarities(embedder.embed((question,), "query"), embedder.embed(tuple(passages), "passage"))
    return time.perf_counter() - start, len(passages)


def _fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            body: bytes = reply.read()
    except urllib.error.URLError:
        return b""
    return body


def report(runs: list[Run], plain: Sequence[str]) -> str:
    """Write medians."""
    filling, same, another = (median(run.again[i] for run in runs) for i in range(3))
    rows: list[list[object]] = [
        ["Wellread, nothing cached", median(run.ours for run in runs)],
        *(row for number, name in enumerate(plain) for row in _compared(runs, number, name)),
        ["Wellread with an empty cache", filling],
        ["the same question again", same],
        ["another question over those pages", another],
    ]
    stages = [median(run.timings[stage] for run in runs) / 1000 for stage in STAGES]
    told = (
        f"Medians of {len(runs)} questions: {median(run.pages for run in runs):g} real pages, "
        f"{median(run.bytes for run in runs) / 1e6:.1f} MB, {median(run.passages for run in runs):g} passages in the "
        f"plain way. The other question had {median(run.kept for run in runs):.0%} of its pages from the cache."
    )
    return (
        f"{told}\n\n{table(['reading', 'seconds'], rows)}"
        + "\n\nSeconds in each stage; fetch and extract overlap, and count from their common start:\n\n"
        + table(STAGES, [stages])
    )


def _compared(runs: list[Run], number: int, name: str) -> list[list[object]]:
    return [
        [f"the plain way, the same pages and model, {name}", median(run.plain[number] for run in runs)],
        ["so many times ours", median(run.plain[number] / run.ours for run in runs)],
    ]


if __name__ == "__main__":
    main()
