"""Measures what evidence reaches the context, and which stage lost the rest.

    python -m tests.benchmarks.recall [--sample 200] [--max-chars 12000]

`ev_all`: the share of questions all of whose evidence is in the context, as the test data's score.py counts it. Beside
it the ranking by words alone, of the same pages by the same queries.
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean, median
from typing import Any, Literal

import anyio
import anyio.to_thread

from agent.build import open_tools
from agent.pack import pack
from agent.settings import Settings
from agent.tools import Tools
from agent.types import Reading
from retrieval.chunk import chunk
from retrieval.rank import rank
from retrieval.read import PageExtractor
from retrieval.types import Document, Page, Skipped, SkipReason
from tests.benchmarks import direct, servers
from tests.benchmarks.tables import table, write

Stage = Literal["not found", "not fetched", "not extracted", "not ranked", "cut"]
STAGES: tuple[Stage, ...] = ("not found", "not fetched", "not extracted", "not ranked", "cut")
# Skipped though their bytes had come.
FETCHED = frozenset(
    {
        "read",
        SkipReason.EMPTY,
        SkipReason.PARSER_LIMIT,
        SkipReason.BAD_ENCODING,
        SkipReason.WRONG_TYPE,
        SkipReason.DUPLICATE,
    }
)
Row = dict[str, Any]
Holds = Callable[[str], bool]


@dataclass(slots=True)
class Noting:
    """An extractor that keeps what it extracts, by address."""

    extractor: PageExtractor
    documents: dict[str, Document] = field(default_factory=dict)

    async def extract(self, page: Page) -> Document | Skipped:
        """Clean a page."""
        outcome = await self.extractor.extract(page)
        if isinstance(outcome, Document):
            self.documents[outcome.url] = outcome
        return outcome


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--sample", type=int, default=200, help="questions at most of each of the two collections; 0: all")
    cli.add_argument("--max-chars", type=int, default=direct.CONTEXT_CHARS)
    args = cli.parse_args()
    servers.require_data()
    asked = servers.questions("qa")
    random.Random(1).shuffle(asked)
    asked = asked[: args.sample or None] + servers.questions("pages", ("htmlqa",))[: args.sample or None]
    with servers.web() as url:
        rows = anyio.run(measured, asked, servers.settings(url), args.max_chars)
    write("recall", report(rows))


async def measured(asked: list[Row], settings: Settings, max_chars: int) -> list[Row]:
    """Read for every question, one after another."""
    async with open_tools(settings) as tools:
        return [await _one(row, tools, max_chars) for row in asked]


async def _one(row: Row, tools: Tools, max_chars: int) -> Row:
    noting = Noting(tools.extractor)
    reading = await direct.read(row["question"], replace(tools, extractor=noting), tools.settings.pages, max_chars)
    return {
        "set": row["set"],
        "language": row["lang"],
        "all": score(row, reading.context.text[:max_chars]),
        "words": score(row, (await _by_words(reading, noting.documents, tools, max_chars))[:max_chars]),
        "lost": lost(row, reading, noting.documents, max_chars),
        "read": reading.coverage.read,
        "seconds": reading.timings.total / 1000,
    }


async def _by_words(reading: Reading, documents: Mapping[str, Document], tools: Tools, max_chars: int) -> str:
    """Return the context that the same pages and queries give without vectors."""
    read = [documents[page.url] for page in reading.coverage.pages if page.status == "read"]
    passages = [passage for document in read for passage in chunk(document, tools.chunk_limits)]
    plan = reading.plan
    ranking = await anyio.to_thread.run_sync(rank, plan.asked, passages, None, tools.rank_limits, plan.language)
    return pack(ranking.passages, max_chars).text


def score(row: Row, text: str) -> float:
    """Tell whether a text holds the evidence of a question: 1 or 0."""
    return float(servers.data_module("score").score(row | {"answers": []}, text)["ev_all"])


def lost(row: Row, reading: Reading, documents: Mapping[str, Document], max_chars: int) -> Stage | None:
    """Name the stage that lost the evidence of a question; None when the context holds it."""
    context = reading.context.text[:max_chars]
    ranked = "\n".join(each.passage.text for each in reading.ranked)
    read = "\n".join(document.text for document in documents.values())
    pages = {_page_id(page.url): page.reason or "read" for page in reading.coverage.pages}
    stages = [
        stage(
            partial(_holds, row | {"evidence": [item]}),
            context=context,
            ranked=ranked,
            read=read,
            fate=pages.get(item.get("doc_id") or item["page_id"]),
        )
        for item in row["evidence"]
    ]
    return combined(stages, any_will_do=bool(row.get("any_evidence")))


def _holds(row: Row, text: str) -> bool:
    return score(row, text) > 0


def _page_id(url: str) -> str:
    return url.rsplit("/", 1)[1].removesuffix(".html")


def stage(holds: Holds, *, context: str, ranked: str, read: str, fate: str | None) -> Stage | None:
    """Name the first stage that lost what `holds` looks for.

    `fate` of its page is "read" or why it was skipped; None: never asked for.
    """
    if holds(context):
        return None
    if holds(ranked):
        return "cut"
    if holds(read):
        return "not ranked"
    if fate is None:
        return "not found"
    return "not extracted" if fate in FETCHED else "not fetched"


def combined(stages: Sequence[Stage | None], *, any_will_do: bool) -> Stage | None:
    """Name the stage that lost a question, given that of each piece of its evidence.

    Where it needs all pieces, the first stage that lost one; where any will do, the stage that one got to.
    """
    if None in stages and any_will_do:
        return None
    gone = [STAGES.index(each) for each in stages if each is not None]
    if not gone:
        return None
    return STAGES[max(gone) if any_will_do else min(gone)]


def grouped(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of all questions, of each language and of each set, by name."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in ("all", f"language {row['language']}", f"set {row['set']}"):
            groups[name].append(row)
    return sorted(groups.items())


def report(rows: list[Row]) -> str:
    """Write a line for each set and language, with the questions that each stage lost."""
    lines = []
    for name, group in grouped(rows):
        counts = Counter(row["lost"] for row in group)
        shares = [fmean(row[ranking] for row in group) for ranking in ("all", "words")]
        lines.append([name, len(group), *shares, *(counts[stage] for stage in STAGES)])
    seconds, read = [row["seconds"] for row in rows], [row["read"] for row in rows]
    return (
        table(["questions", "n", "`ev_all`", "by words alone", *STAGES], lines)
        + "\n\nThe last columns count questions by the first stage that lost evidence. Reading took "
        + f"{median(seconds):.2f} s in the median. Of pages {median(read):g} were read in the median, and "
        + f"{min(read)} at least."
    )


if __name__ == "__main__":
    main()
