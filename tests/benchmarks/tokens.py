"""Counts the tokens that a question sends a model, by Qwen2.5's own tokenizer, at each effort: what a GPU must read.

    python -m tests.benchmarks.tokens [--questions 8]

The model is a scripted one with a window of 32,768 tokens, which counts as a real one would and answers in a word: what
a model writes is no part of this. Calls that plan the search, or ask what it lacked, are counted apart.
"""

import argparse
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from statistics import median

import anyio

from agent import pipeline
from agent.build import open_tools
from agent.models.echo import EchoModel
from agent.models.embedded import WEIGHTS, EmbeddedModel
from agent.reason import ModelEvent, ModelInfo, Prompt
from agent.settings import EFFORTS
from agent.types import Effort, Event, Message, Question
from retrieval.search import SearchEngine
from retrieval.types import Hit, Query
from retrieval.weights import draw_progress, ensure
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

WINDOW = 32_768
SETS = ("rurag", "clapnq")


class Counting(EchoModel):
    """The scripted model, whose prompts are counted by a real one's tokenizer: those of answers, and of plans."""

    def __init__(self, counter: EmbeddedModel) -> None:
        super().__init__()
        self.counter = counter
        self.answers: list[int] = []
        self.plans: list[int] = []

    async def info(self) -> ModelInfo:
        """Tell of a fast model with a usual window."""
        return ModelInfo("counting", WINDOW)

    async def count(self, messages: tuple[Message, ...]) -> int | None:
        """Count as the real one does."""
        return await self.counter.count(messages)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Count, and answer as scripted."""
        counted = await self.counter.count(prompt.messages)
        (self.plans if prompt.schema else self.answers).append(counted or 0)
        async with aclosing(super().stream(prompt)) as events:
            async for event in events:
                yield event


@dataclass(slots=True)
class Counted:
    """A search engine whose requests are counted: each is a result page, which paid ones are paid for."""

    engine: SearchEngine
    requests: int = 0

    @property
    def name(self) -> str:
        """The engine's own name."""
        return self.engine.name

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Count, and ask."""
        self.requests += 1
        return await self.engine.search(query, page)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one question took."""

    model: Counting
    engine: Counted


def main() -> None:
    """Count and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--questions", type=int, default=8, help="at each effort")
    count = cli.parse_args().questions
    servers.require_data()
    rows = [row["question"] for row in servers.questions("qa", SETS)]
    asked = rows[:: max(1, len(rows) // count)][:count]
    with servers.web() as web:
        counted = anyio.run(measured, web, asked)
    write("tokens", f"Medians of {len(asked)} questions, half of them Russian.\n\n{report(counted)}")


async def measured(web: str, asked: list[str]) -> dict[Effort, list[Asked]]:
    """Ask all questions at every effort; gives what was counted for each."""
    settings = servers.settings(web, WELLREAD_EMBEDDER="hashing")
    weights = WEIGHTS["0.5b"]
    path = await anyio.to_thread.run_sync(ensure, weights, settings.models_dir, draw_progress)
    found: dict[Effort, list[Asked]] = {effort: [] for effort in EFFORTS}
    async with EmbeddedModel(path, weights.name, WINDOW) as counter, open_tools(settings) as tools:
        for effort, counted in found.items():
            for text in asked:
                one = Asked(Counting(counter), Counted(tools.engines[0]))
                question = Question((Message("user", text),), effort)
                given = replace(tools, model=one.model, engines=[one.engine], live_engines=())
                await pipeline.answer(question, given, _unheard)
                counted.append(one)
    return found


async def _unheard(event: Event) -> None:
    pass


def report(counted: dict[Effort, list[Asked]]) -> str:
    """Write a row for each effort."""
    rows = [
        [
            effort,
            round(median(sum(one.model.answers) for one in runs)),
            median(len(one.model.plans) for one in runs),
            round(median(sum(one.model.plans) for one in runs)),
            median(one.engine.requests for one in runs),
            EFFORTS[effort].thinking_tokens,
            EFFORTS[effort].answer_tokens,
        ]
        for effort, runs in counted.items()
    ]
    head = [
        "effort",
        "tokens of the prompt",
        "calls for plans",
        "tokens of their prompts",
        "requests of a search engine",
    ]
    return table([*head, "thought, at most", "answer, at most"], rows)


if __name__ == "__main__":
    main()
