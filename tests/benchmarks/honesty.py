"""Measures what answers make of false pages, and of questions that no page answers: search to citations, whole.

    python -m tests.benchmarks.honesty [--rgb 8] [--unanswerable 8] [--answerable 4] [--model 1.5b] [--keep FILE]
    python -m tests.benchmarks.honesty --judge FILE [FILE ...]

RGB sets pages with a false value beside those with the true one: an answer gives the true value, follows the false
page, names both, or neither. CLAPnq's unanswerable questions ask for what the page linked to them does not tell: an
answer should abstain; another page may hold it all the same, so not all of them should. Of answerable ones none should.
`--keep` writes every answer as a line of JSON, once it is there; `--judge` writes the tables of such files, without a
model and without test data: of several, over the questions that all of them hold.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, TextIO

import anyio

from agent import pipeline
from agent.build import open_tools
from agent.earlier import Earlier
from agent.errors import AgentError
from agent.settings import Settings
from agent.tools import Tools
from agent.types import Answer, Context, Effort, Event, Message, Question, Sampling, Source, Usage
from tests.benchmarks import servers
from tests.benchmarks.tables import table
from tests.benchmarks.verdicts import VERDICTS, Verdict, abstains, noted, verdict

Row = dict[str, Any]
RGB, UNANSWERABLE, ANSWERABLE = "rgb_fact", "clapnq_unans", "clapnq"
# The model's own temperature is not 0: the same seed gives the same answer over the same pages.
SEED = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A citation mark that is listed; see `agent.types.Annotation`."""

    url: str
    support: float | None
    quote: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A question and what became of it. `sources` are the pages that the model was given; `error` ended it."""

    id: str
    set: str
    question: str
    true: list[str | list[str]]
    false: str
    true_pages: list[str]
    false_pages: list[str]
    text: str
    reasoning: str
    marks: list[Mark]
    sources: list[str]
    coverage: dict[str, int]
    seconds: float
    error: str | None = None

    @property
    def verdict(self) -> Verdict:
        """Which values the answer gives."""
        return verdict(self.text, self.true, self.false)

    @property
    def given(self) -> tuple[bool, bool]:
        """Whether the model was given a page with the true value, and one with the false one."""
        pages = {page_id(url) for url in self.sources}
        return not pages.isdisjoint(self.true_pages), not pages.isdisjoint(self.false_pages)

    @property
    def cites_false(self) -> bool:
        """Whether a mark names a page with the false value."""
        return any(page_id(mark.url) in self.false_pages for mark in self.marks)


class Watched(Earlier):
    """Remembers nothing but the sources of the last question: what its model was given."""

    sources: tuple[Source, ...] = ()

    def keep(self, question: Question, context: Context) -> None:
        """Take the sources down."""
        self.sources = context.sources


async def answered(row: Row, tools: Tools, effort: Effort) -> Kept:
    """Answer one question, the whole way."""
    watched, last = Watched(), Answer("", "", (), (), Usage(), "stop", None)

    async def emit(event: Event) -> None:
        nonlocal last
        if isinstance(event, Answer):
            last = event

    question = Question((Message("user", row["question"]),), effort, sampling=Sampling(seed=SEED))
    start, error = time.perf_counter(), None
    try:
        await pipeline.answer(question, replace(tools, earlier=watched), emit)
    except AgentError as failure:
        error = f"{type(failure).__name__}: {failure}"
    return kept(row, last, watched.sources, time.perf_counter() - start, error)


def kept(row: Row, answer: Answer, sources: Sequence[Source], seconds: float, error: str | None) -> Kept:
    """Put down what is judged."""
    coverage = answer.coverage
    counts = ("found", "asked", "read", "used", "cited", "rounds")
    return Kept(
        id=row["id"],
        set=row["set"],
        question=row["question"],
        true=row["answers"],
        false=row.get("fake_answer", ""),
        true_pages=row["gold_doc_ids"],
        false_pages=row.get("counterfactual_doc_ids", []),
        text=answer.text,
        reasoning=answer.reasoning,
        marks=[Mark(mark.url, mark.support, mark.quote) for mark in answer.annotations],
        sources=list(dict.fromkeys(source.document.url for source in sources)),
        coverage={name: getattr(coverage, name) for name in counts} if coverage else {},
        seconds=round(seconds, 2),
        error=error,
    )


def page_id(url: str) -> str:
    """Return the id of the document that an address of the web holds."""
    return url.rpartition("/")[2].removesuffix(".html")


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """Take so many, evenly over all."""
    taken = min(most, len(rows))
    return [rows[place * len(rows) // taken] for place in range(taken)]


def drawn(wanted: dict[str, int]) -> list[Row]:
    """Draw the questions: so many of each set, mixed, so that a run which is cut off has asked some of everything."""
    lines = (servers.DATA / "data" / "qa" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return mixed([spread([row for row in rows if row["set"] == name], most) for name, most in wanted.items()])


def mixed(sets: Sequence[Sequence[Row]]) -> list[Row]:
    """Shuffle each set, the same each time, and deal from all of them in proportion."""
    dealt = []
    for rows in sets:
        shuffled = random.Random(4).sample(rows, len(rows))
        dealt += [((place + 1) / len(rows), row) for place, row in enumerate(shuffled)]
    return [row for _, row in sorted(dealt, key=lambda each: each[0])]


def report(answers: Sequence[Kept]) -> str:
    """Write the tables."""
    failed = sum(one.error is not None for one in answers)
    done = [one for one in answers if one.error is None]
    if not done:
        return f"{failed} questions failed, none was answered."
    rgb = [one for one in done if one.set == RGB]
    of_sets = {name: [one for one in done if one.set == name] for name in (RGB, UNANSWERABLE, ANSWERABLE)}
    seconds = [one.seconds for one in done]
    return "\n\n".join(
        (
            table(("counterfactual questions", "n", *VERDICTS, "cites a false page", "abstains"), _by_context(rgb)),
            table(
                ("set", "n", "given a page with the answer", "abstains", "by a note of the product"),
                _abstaining(of_sets),
            ),
            table(("set", "n", "marks", "checked", "with a quote", "answers without marks"), _marking(of_sets)),
            f"A question took {median(seconds):.0f} s at the median, {max(seconds):.0f} at most; {failed} failed.",
        )
    )


def _by_context(answers: Sequence[Kept]) -> list[list[object]]:
    both = [one for one in answers if one.given == (True, True)]
    kinds = {
        "all": answers,
        "a true and a false page were given": both,
        "only a true one": [one for one in answers if one.given == (True, False)],
        "only a false one": [one for one in answers if one.given == (False, True)],
        "none of them": [one for one in answers if one.given == (False, False)],
    }
    return [[name, *_verdicts(some)] for name, some in kinds.items() if some]


def _verdicts(answers: Sequence[Kept]) -> list[object]:
    counts = Counter(one.verdict for one in answers)
    shares = (counts[name] / len(answers) for name in VERDICTS)
    citing = fmean(one.cites_false for one in answers)
    return [len(answers), *shares, citing, fmean(abstains(one.text) for one in answers)]


def _abstaining(of_sets: dict[str, list[Kept]]) -> list[list[object]]:
    return [[name, len(some), *_shares(some)] for name, some in of_sets.items() if some]


def _shares(answers: Sequence[Kept]) -> list[object]:
    told = [(one.given[0], abstains(one.text), noted(one.text)) for one in answers]
    return [fmean(column) for column in zip(*told, strict=True)]


def _marking(of_sets: dict[str, list[Kept]]) -> list[list[object]]:
    return [[name, len(some), *_marks(some)] for name, some in of_sets.items() if some]


def _marks(answers: Sequence[Kept]) -> list[object]:
    marks = [mark for one in answers for mark in one.marks]
    checked = sum(mark.support is not None for mark in marks)
    quoted = sum(mark.quote is not None for mark in marks)
    return [len(marks), checked, quoted, sum(not one.marks for one in answers)]


async def _measured(args: argparse.Namespace, settings: Settings, out: TextIO | None) -> list[Kept]:
    wanted = {RGB: args.rgb, UNANSWERABLE: args.unanswerable, ANSWERABLE: args.answerable}
    answers = []
    async with open_tools(settings) as tools:
        for row in drawn(wanted):
            answers.append(await answered(row, tools, args.effort))
            print(_line(answers[-1]), flush=True)
            if out:
                print(json.dumps(asdict(answers[-1]), ensure_ascii=False), file=out, flush=True)
    return answers


def _line(one: Kept) -> str:
    said = one.verdict if one.set == RGB else "abstains" if abstains(one.text) else "answers"
    return f"{one.id}: {one.error or said} ({one.seconds:.0f} s)"


def read_back(file: Path) -> list[Kept]:
    """Read what --keep has written."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Kept(**row | {"marks": [Mark(**mark) for mark in row["marks"]]}) for row in rows]


def judged(files: Sequence[Path]) -> str:
    """Write the tables of each file, over the questions that all of them hold."""
    answers = {file: read_back(file) for file in files}
    shared = set.intersection(*({one.id for one in some} for some in answers.values()))
    return "\n\n".join(
        f"{file}:\n\n{report([one for one in some if one.id in shared])}" for file, some in answers.items()
    )


def main() -> None:
    """Measure, or judge what was measured before; print the tables."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--rgb", type=int, default=8, help="how many questions with true and false pages")
    cli.add_argument("--unanswerable", type=int, default=8, help="how many questions that should be abstained from")
    cli.add_argument("--answerable", type=int, default=4, help="how many questions that should not")
    cli.add_argument("--model", default="1.5b", choices=("1.5b", "0.5b"), help="the embedded model")
    cli.add_argument("--effort", default="low", choices=("low", "medium", "high"))
    cli.add_argument("--keep", type=Path, help="write every answer into this file, as a line of JSON")
    cli.add_argument("--judge", type=Path, nargs="+", help="write the tables of such files and end")
    args = cli.parse_args()
    if args.judge:
        print(judged(args.judge))
        return
    servers.require_data()
    with servers.web() as url, args.keep.open("w", encoding="utf-8") if args.keep else nullcontext() as out:
        answers = anyio.run(_measured, args, servers.settings(url, WELLREAD_EMBEDDED_MODEL=args.model), out)
    print(f"\nBy the embedded model {args.model} at {args.effort} effort.\n\n{report(answers)}")


if __name__ == "__main__":
    main()
