"""Measures whether the pages of all evidence are among the best fifty: by one query, names, a model's plan, and rounds.

    python -m tests.benchmarks.finding [--planned 120] [--conversations 60] [--rounds 30] [--model 1.5b]

The plan is that of an embedded model, at high effort. Rounds read pages as the product does, and rank them: of all that
were read, and of the fifty with the best passages. A conversation is searched by its last turn alone, and as planned.
"""

import argparse
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import anyio
import anyio.to_thread

from agent import pipeline
from agent import plan as planning
from agent.build import open_tools
from agent.errors import ModelFailed
from agent.models.echo import EchoModel
from agent.reason import Prompt
from agent.rounds import Rounds
from agent.settings import Settings
from agent.tools import Tools
from agent.types import Event, Message, Plan, Question, Reading
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

Row = dict[str, Any]
SETS = ("musique", "hotpot", "mhr")
# Those of the reference figures: so many of each set, drawn once.
OF_SET = {"musique": 132, "hotpot": 61, "mhr": 150}
BEST = 50
PLANS: dict[str, Plan] = {}
Pages = Callable[[Row, Tools], Awaitable[Sequence[str]]]


class Mute(EchoModel):
    """A model that never plans: what is done without one."""

    def stream(self, prompt: Prompt) -> Any:
        """Refuse."""
        raise ModelFailed("There is no model.")


async def _ignored(event: Event) -> None:
    pass


def _question(row: Row, *, planned: bool = True) -> Question:
    turns = row.get("messages") or [{"role": "user", "content": row["question"]}]
    messages = tuple(Message(turn["role"], turn["content"]) for turn in turns)
    return Question(messages, "high" if planned else "medium")


async def _found(question: Question, plan: Plan, tools: Tools) -> list[str]:
    limits = replace(tools.fetch_limits, wanted=BEST)
    found = await Rounds(question, plan, limits, tools, _ignored).find()
    return [_page_id(hit.url) for hit in found.hits[:BEST]]


async def _planned(row: Row, tools: Tools) -> Plan:
    """Let the model plan, once for each question."""
    if row["id"] not in PLANS:
        PLANS[row["id"]] = await planning.plan(_question(row), tools.model)
    return PLANS[row["id"]]


async def by_one_query(row: Row, tools: Tools) -> Sequence[str]:
    """Search the last words of the user as they stand."""
    question = replace(_question(row), exact=True)
    asked = question.messages[-1].content
    return await _found(question, planning.given(question, [asked], None), tools)


async def without_a_model(row: Row, tools: Tools) -> Sequence[str]:
    """Search what the product searches when no model plans."""
    question = _question(row, planned=False)
    return await _found(question, await anyio.to_thread.run_sync(planning.unaided, question), tools)


async def as_planned(row: Row, tools: Tools) -> Sequence[str]:
    """Search what the model planned, and names."""
    return await _found(_question(row), await _planned(row, tools), tools)


async def planned_alone(row: Row, tools: Tools) -> Sequence[str]:
    """Search what the model planned, and no names."""
    return await _found(replace(_question(row), exact=True), await _planned(row, tools), tools)


async def _reading(row: Row, tools: Tools) -> Reading:
    question = _question(row)
    plan = await planning.plan(question, tools.model)
    return await pipeline.read(question, plan, tools, _ignored, pages=BEST, context_chars=12_000)


async def in_rounds(rows: Sequence[Row], tools: Tools) -> list[tuple[bool, bool, int]]:
    """Read in rounds: whether all evidence was read, whether it is on the best fifty pages, and how many were read."""
    told = []
    for row in rows:
        reading = await _reading(row, tools)
        read = [_page_id(page.url) for page in reading.coverage.pages if page.status == "read"]
        ranked = dict.fromkeys(_page_id(each.passage.document.url) for each in reading.ranked)
        told.append((holds(row, read), holds(row, list(ranked)[:BEST]), reading.coverage.rounds))
        print(row["set"], told[-1], flush=True)
    return told


def holds(row: Row, pages: Sequence[str]) -> bool:
    """Tell whether the pages of all evidence, or of any where one is enough, are among these."""
    gold = row.get("gold_doc_ids") or [item["doc_id"] for item in row["evidence"]]
    found = [page in pages for page in gold]
    return any(found) if row.get("any_evidence") else all(found)


def _page_id(url: str) -> str:
    return url.rsplit("/", 1)[1].removesuffix(".html")


def drawn() -> list[Row]:
    """Draw the questions of several hops."""
    rows = servers.questions("qa", SETS)
    random.Random(3).shuffle(rows)
    kept = [row for name, most in OF_SET.items() for row in [row for row in rows if row["set"] == name][:most]]
    random.Random(4).shuffle(kept)
    return kept


def conversations() -> list[Row]:
    """Read the conversations with a turn before the last, and with pages that answer it."""
    lines = (servers.DATA / "data" / "qa" / "conversations.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["gold_doc_ids"] and sum(turn["role"] == "user" for turn in row["messages"]) > 1]
    random.Random(4).shuffle(rows)
    return rows


async def _shares(rows: Sequence[Row], way: Pages, tools: Tools) -> list[float]:
    told = [(row["set"], holds(row, await way(row, tools))) for row in rows]
    by_set = [[hit for name, hit in told if name == wanted] for wanted in dict.fromkeys(row["set"] for row in rows)]
    return [fmean(hits) for hits in by_set] + ([fmean(hit for _, hit in told)] if len(by_set) > 1 else [])


async def _tables(args: argparse.Namespace, settings: Settings) -> str:
    questions, talks = drawn(), conversations()
    some, few = questions[: args.planned], questions[: args.rounds]
    lines: list[list[object]] = []
    talked: list[list[object]] = []
    rounds: list[list[object]] = []
    async with open_tools(settings) as tools:
        mute = replace(tools, model=Mute())
        for name, rows, way in (
            ("one query", questions, by_one_query),
            ("names, no model", questions, without_a_model),
            ("one query", some, by_one_query),
            ("names, no model", some, without_a_model),
            ("planned by the model, no names", some, planned_alone),
            ("planned by the model, and names", some, as_planned),
        ):
            kinds = list(dict.fromkeys(row["set"] for row in rows))
            shares = dict(zip([*kinds, "all"], await _shares(rows, way, tools), strict=True))
            lines.append([name, len(rows), *(shares[kind] for kind in (*SETS, "all"))])
            print(lines[-1], flush=True)
        for name, rows, way in (
            ("the last turn alone", talks, by_one_query),
            ("no model", talks, without_a_model),
            ("the last turn alone", talks[: args.conversations], by_one_query),
            ("no model", talks[: args.conversations], without_a_model),
            ("as the model planned", talks[: args.conversations], as_planned),
        ):
            talked.append([name, len(rows), *(await _shares(rows, way, tools))])
            print(talked[-1], flush=True)
        for name, equipped, rows in (("no model", mute, some[: args.named]), ("the model", tools, few)):
            told = await in_rounds(rows, equipped)
            rounds.append([name, len(rows), *(fmean(column) for column in zip(*told, strict=True))])
            print(rounds[-1], flush=True)
    return "\n\n".join(
        (
            table(["searched by", "n", *SETS, "all"], lines),
            table(["a conversation searched by", "n", "all pages found"], talked),
            table(["up to three rounds, asked by", "n", "all read", "on the best fifty pages", "rounds"], rounds),
        )
    )


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--planned", type=int, default=120, help="how many questions the model plans")
    cli.add_argument("--conversations", type=int, default=60, help="how many conversations the model plans")
    cli.add_argument("--named", type=int, default=100, help="how many questions are read in rounds without a model")
    cli.add_argument("--rounds", type=int, default=30, help="how many questions are read in rounds with the model")
    cli.add_argument("--model", default="1.5b", help="the embedded model")
    args = cli.parse_args()
    servers.require_data()
    with servers.web() as url:
        text = anyio.run(_tables, args, servers.settings(url, WELLREAD_EMBEDDED_MODEL=args.model))
    write("finding", f"Planned by the embedded model {args.model}.\n\n{text}")


if __name__ == "__main__":
    main()
