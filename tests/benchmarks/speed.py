"""Measures the whole reading of fifty real pages, without latency, beside the plain way on the same machine.

    python -m tests.benchmarks.speed [--repeat 5]

The plain way: the same pages, requested one after another, cleaned by trafilatura, every passage through the same
embedder, FAISS. Then, with the cache on, the question again, its words in another order, and another question with it.
"""

import argparse
import logging
import tempfile
import time
import urllib.error
import urllib.request
from statistics import median

import trafilatura

from agent.settings import Settings
from retrieval import index
from retrieval.chunk import chunk
from retrieval.embedders.embedded import EmbeddedEmbedder
from retrieval.limits import ChunkLimits
from retrieval.rank import Embedder, headed
from retrieval.types import Document
from retrieval.weights import draw_progress
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

# Questions whose pages are real ones: long, and with all that a site puts around its text.
SETS = ("htmlqa",)
STAGES = ("search", "fetch", "extract", "rank", "pack", "total")


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--repeat", type=int, default=5, help="questions")
    repeat = cli.parse_args().repeat
    servers.require_data()
    logging.disable(logging.CRITICAL)
    asked = [row["question"] for row in servers.questions("pages", SETS)][: 2 * repeat]
    first, second = asked[:repeat], asked[repeat:]
    with servers.web() as url:
        cold = [_ours(url, question) for question in first]
        embedder = EmbeddedEmbedder(Settings().models_dir, draw_progress)
        plain = [_plain(question, urls, embedder) for question, (_, urls, _) in zip(first, cold, strict=True)]
        again = [_again(url, *pair) for pair in zip(first, second, strict=True)]
    write("speed", report([(took, timings) for took, _, timings in cold], plain, again))


def _ours(url: str, question: str) -> tuple[float, list[str], dict[str, int]]:
    """Read cold; gives seconds, the pages read and the milliseconds of each stage."""
    with servers.wellread(url) as server:
        servers.read(server, "warm up the embedder", pages=1)
        answer, seconds = servers.read(server, question)
    pages = [page["url"] for page in answer["coverage"]["pages"] if page["status"] == "read"]
    return seconds, pages, answer["timings_ms"]


def _again(url: str, question: str, other: str) -> tuple[float, ...]:
    """Read with a cache; seconds of a question, of it once more, of its words in another order, and with another."""
    with tempfile.TemporaryDirectory() as folder, servers.wellread(url, WELLREAD_CACHE=f"{folder}/cache") as server:
        servers.read(server, "warm up the embedder", pages=1)
        turned = " ".join(reversed(question.split()))
        return tuple(servers.read(server, text)[1] for text in (question, question, turned, f"{question} {other}"))


def _plain(question: str, urls: list[str], embedder: Embedder) -> float:
    """Read pages in the plain way; gives seconds."""
    embedder.embed(("warm up",), "query")
    start = time.perf_counter()
    texts = [trafilatura.extract(_fetched(url), include_comments=False) or "" for url in urls]
    documents = [Document(url, "", text, "", None, "en") for url, text in zip(urls, texts, strict=True)]
    passages = [headed(passage) for document in documents for passage in chunk(document, ChunkLimits())]
    index.similarities(embedder.embed((question,), "query"), embedder.embed(tuple(passages), "passage"))
    return time.perf_counter() - start


def _fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            body: bytes = reply.read()
    except urllib.error.URLError:
        return b""
    return body


def report(cold: list[tuple[float, dict[str, int]]], plain: list[float], again: list[tuple[float, ...]]) -> str:
    """Write medians."""
    ours = median(took for took, _ in cold)
    rows: list[list[object]] = [
        ["Wellread, nothing cached", ours],
        ["the plain way, the same pages and embedder", median(plain)],
        ["ratio", median(plain) / ours],
        ["Wellread with an empty cache", median(took[0] for took in again)],
        ["the same question again", median(took[1] for took in again)],
        ["its words in another order", median(took[2] for took in again)],
        ["with another question behind it: other pages too, other passages", median(took[3] for took in again)],
    ]
    stages = [median(timings[stage] for _, timings in cold) / 1000 for stage in STAGES]
    return (
        f"Medians of {len(cold)} questions, 50 pages each.\n\n"
        + table(["reading", "seconds"], rows)
        + "\n\nSeconds in each stage; fetch and extract overlap, and count from their common start:\n\n"
        + table(STAGES, [stages])
    )


if __name__ == "__main__":
    main()
