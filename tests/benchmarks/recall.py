"""Measures what evidence reaches the context, and which stage lost the rest.

    python -m tests.benchmarks.recall [--sample 200] [--max-chars 12000]

`ev_all`: the share of questions all of whose evidence is in the context, as the test data's score.py counts it. Beside
it the ranking by words alone, over the same pages.
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

import anyio
import anyio.to_thread

from agent import pipeline
from agent.build import open_tools
from agent.pack import pack
from agent.settings import Settings
from agent.tools import Tools
from agent.types import Event, Message, Question, Reading
from retrieval.chunk import chunk
from retrieval.rank import rank
from retrieval.read import PageExtractor
from retrieval.types import Document, Page, Skipped
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

Stage = Literal["not found", "not fetched", "not extracted", "not ranked", "cut"]
STAGES: tuple[Stage, ...] = ("not found", "not fetched", "not extracted", "not ranked", "cut")
Row = dict[str, Any]
Holds = Callable[[str], bool]


@dataclass(slots=True)
class Noting:
    """An extractor that keeps what it extracts."""

    extractor: PageExtractor
    documents: list[Document] = field(default_factory=list)

    async def extract(self, page: Page) -> Document | Skipped:
        """Clean a page."""
        outcome = await self.extractor.extract(page)
        if isinstance(outcome, Document):
            self.documents.append(outcome)
        return outcome


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--sample", type=int, default=200, help="questions of the big collection; 0: all")
    cli.add_argument("--max-chars", type=int, default=12_000)
    args = cli.parse_args()
    servers.require_data()
    asked = servers.questions("qa")
    random.Random(1).shuffle(asked)
    asked = asked[: args.sample or None] + servers.questions("pages", ("htmlqa",))
    with servers.web() as url:
        rows = anyio.run(measured, asked, servers.settings(url), args.max_chars)
    write("recall", report(rows))


async def measured(asked: list[Row], settings: Settings, max_chars: int) -> list[Row]:
    """Read for every question, one after another."""
    async with open_tools(settings) as tools:
        return [await _one(row, tools, max_chars) for row in asked]


async def _one(row: Row, tools: Tools, max_chars: int) -> Row:
    noting = Noting(tools.extractor)
    tools.extractor = noting
    reading = await pipeline.read(
        Question((Message("user", row["question"]),)),
        tools,
        _ignored,
        pages=tools.settings.pages,
        context_chars=max_chars,
    )
    tools.extractor = noting.extractor
    passages = [passage for document in noting.documents for passage in chunk(document, tools.chunk_limits)]
    words = await anyio.to_thread.run_sync(
        rank, [row["question"]], passages, None, tools.rank_limits, reading.plan.language
    )
    by_words = pack(words.passages, max_chars).text
    return {
        "set": row["set"],
        "language": row["lang"],
        "all": score(row, reading.context.text[:max_chars]),
        "words": score(row, by_words[:max_chars]),
        "lost": [stage for item in row["evidence"] if (stage := lost(row, item, reading, noting.documents, max_chars))],
    }


async def _ignored(event: Event) -> None:
    pass


def score(row: Row, text: str) -> float:
    """Tell whether a text holds the evidence of a question: 1 or 0."""
    return float(servers.data_module("score").score(row | {"answers": []}, text)["ev_all"])


def lost(row: Row, item: Row, reading: Reading, documents: list[Document], max_chars: int) -> Stage | None:
    """Name the stage that lost one piece of evidence; None when it is in the context."""

    def holds(text: str) -> bool:
        return score(row | {"evidence": [item]}, text) > 0

    pages = {page.url.rsplit("/", 1)[1].removesuffix(".html"): page.status for page in reading.coverage.pages}
    return stage(
        holds,
        context=reading.context.text[:max_chars],
        ranked="\n".join(each.passage.text for each in reading.ranked),
        read="\n".join(document.text for document in documents),
        status=pages.get(item.get("doc_id") or item["page_id"]),
    )


def stage(holds: Holds, *, context: str, ranked: str, read: str, status: str | None) -> Stage | None:
    """Name the first stage that lost what `holds` looks for. `status` is that of its page; None: never asked for."""
    if holds(context):
        return None
    if holds(ranked):
        return "cut"
    if holds(read):
        return "not ranked"
    return "not found" if status is None else "not fetched" if status == "skipped" else "not extracted"


def report(rows: list[Row]) -> str:
    """Write the two tables: by set and language, and by the stage that lost evidence."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in ("all", f"language {row['language']}", f"set {row['set']}"):
            groups[name].append(row)
    figures = [
        [name, len(group), fmean(row["all"] for row in group), fmean(row["words"] for row in group)]
        for name, group in sorted(groups.items())
    ]
    counts = {name: Counter(stage for row in group for stage in row["lost"]) for name, group in sorted(groups.items())}
    losses = [[name, *(count[stage] for stage in STAGES)] for name, count in counts.items() if count.total()]
    head = table(["questions", "n", "`ev_all`", "by words alone"], figures)
    return f"{head}\n\nPieces of evidence that did not reach the context, by the stage that lost them:\n\n" + table(
        ["questions", *STAGES], losses
    )


if __name__ == "__main__":
    main()
