"""Rounds of searching and reading, through the pipeline, over a web whose second page only the first one names."""

import json
import re

import pytest

from agent.models.echo import EchoModel
from agent.reason import Finished, ModelInfo
from agent.types import Message, Question, Text, Usage
from retrieval.errors import EngineError
from retrieval.types import Hit
from tests import web as local
from tests.test_pipeline import Engine, lines, piers, run

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]
ASKED = "Where was the author of The Blue Lighthouse born?"
NEXT = {"missing": "where Irena Vold was born", "queries": ["Irena Vold born"]}
ENOUGH = {"missing": "", "queries": []}


class Library:
    """An engine that finds the author's page only by her name."""

    name = "library"

    def __init__(self, web) -> None:
        self.asked = []
        self.novel = self._page(web, "/novel", "The Blue Lighthouse", "The Blue Lighthouse is a novel by Irena Vold. ")
        self.author = self._page(web, "/vold", "Irena Vold", "Irena Vold was born in Tromsø in 1961. ")

    def _page(self, web, path: str, title: str, text: str) -> Hit:
        return Hit(web.page(path, local.article(title, text * 4)), title, text)

    async def search(self, query, page):
        if page > 1:
            return ()
        self.asked.append(query.text)
        if "fails" in query.text:
            raise EngineError("down")
        return (self.author,) if "Irena Vold" in query.text else (self.novel,)


class Asking(EchoModel):
    """Plans nothing, and says after each round what it was told to."""

    def __init__(self, *lacks: dict) -> None:
        super().__init__()
        self.lacks, self.told = list(lacks), []

    async def info(self):
        return ModelInfo("asking", 32_768)

    async def stream(self, prompt):
        if prompt.schema and "missing" in prompt.schema["properties"]:
            self.told.append(prompt.messages[-1].content)
            yield Text(json.dumps(self.lacks.pop(0)))
            yield Finished(Usage(10, 5), "stop")
            return
        async for event in super().stream(prompt):
            yield event


def deep(**options) -> Question:
    return Question((Message("user", ASKED),), effort="high", **options)


@pytest.fixture(autouse=True)
def no_bridges(monkeypatch):
    """Let names be found by rounds alone."""
    monkeypatch.setattr("agent.rounds.further_queries", lambda *given: ())


async def test_a_second_round_finds_what_the_first_one_named(web, equipped):
    model, engine = Asking(NEXT, ENOUGH), Library(web)
    async with equipped(engine, model=model) as tools:
        events = await run(tools, deep())
    done = events[-1]
    assert "Irena Vold born" in engine.asked
    assert {cited.title for cited in done.cited} == {"The Blue Lighthouse", "Irena Vold"}
    assert (done.coverage.rounds, done.coverage.found, done.coverage.read, done.coverage.asked) == (2, 2, 2, 2)
    assert "Still missing (where Irena Vold was born); searching: Irena Vold born\n" in lines(events)
    assert "Irena Vold was born in Tromsø" in model.told[1]
    assert done.usage.prompt > 20


async def test_where_the_plan_searches_nothing_the_model_answers_alone(web, equipped):
    class Content(EchoModel):
        async def stream(self, prompt):
            if prompt.schema:
                yield Text(json.dumps({"search": False, "question": "", "recency": "any", "queries": []}))
                yield Finished(Usage(10, 5), "stop")
                return
            async for event in super().stream(prompt):
                yield event

    engine = Library(web)
    async with equipped(engine, model=Content()) as tools:
        events = await run(tools, "Write a poem about the sea")
    done = events[-1]
    assert (engine.asked, lines(events), done.coverage) == ([], [], None)
    assert done.text
    assert done.usage.prompt > 10


async def test_rounds_end_when_nothing_is_missing(web, equipped):
    model = Asking(ENOUGH)
    async with equipped(Library(web), model=model) as tools:
        done = (await run(tools, deep()))[-1]
    assert done.coverage.rounds == 1
    assert len(model.told) == 1


async def test_there_are_at_most_three_rounds(web, equipped):
    model = Asking(*({"missing": "x", "queries": [f"query {number}"]} for number in range(9)))
    async with equipped(Library(web), model=model) as tools:
        done = (await run(tools, deep()))[-1]
    assert done.coverage.rounds == 3
    assert len(model.told) == 2


@pytest.mark.parametrize("question", [Question((Message("user", ASKED),)), deep(max_seconds=0.01), deep(exact=True)])
async def test_one_round_is_all_at_less_effort_without_time_or_for_a_clients_own_queries(web, equipped, question):
    async with equipped(Library(web), model=Asking(NEXT)) as tools:
        done = (await run(tools, question))[-1]
    assert done.coverage.rounds == 1


async def test_no_page_is_read_twice(web, equipped):
    model = Asking({"missing": "the novel", "queries": ["The Blue Lighthouse novel"]}, ENOUGH)
    async with equipped(Library(web), model=model) as tools:
        done = (await run(tools, deep()))[-1]
    assert web.hits["/novel"] == 1
    assert (done.coverage.rounds, done.coverage.read) == (2, 1)


async def test_without_the_models_word_names_that_were_read_are_searched(web, equipped):
    engine = Library(web)
    async with equipped(engine, model=Asking({"queries": "nonsense"}, ENOUGH)) as tools:
        done = (await run(tools, deep()))[-1]
    assert any(re.match("Irena Vold .*Where was", text) for text in engine.asked)
    assert done.coverage.read == 2


async def test_a_round_whose_search_fails_loses_nothing(web, equipped):
    model = Asking({"missing": "x", "queries": ["fails"]}, ENOUGH)
    async with equipped(Library(web), model=model) as tools:
        done = (await run(tools, deep()))[-1]
    assert done.coverage.read == 1
    assert any(report.error == "down" for report in done.coverage.engines)


async def test_a_named_page_is_read_first_and_without_any_search(web, equipped):
    engine = Library(web)
    async with equipped(engine, model=Asking()) as tools:
        done = (await run(tools, engine.author.url))[-1]
    assert engine.asked == []
    assert [cited.title for cited in done.cited] == ["Irena Vold"]


async def test_a_named_page_comes_first_though_it_shares_no_word_with_the_question(web, equipped):
    engine = Engine(piers(web, 9))
    async with equipped(engine, model=Asking()) as tools:
        events = await run(tools, f"How long is the pier? Sum up {Library(web).author.url}")
    assert events[-1].cited[0].title == "Irena Vold"
    assert lines(events)[0] == "Searching the web: How long is the pier? Sum up\n"


async def test_a_named_page_is_read_though_every_engine_is_down(web, equipped):
    engine = Engine(error="down")
    async with equipped(engine, model=Asking()) as tools:
        done = (await run(tools, f"Where was she born, says {Library(web).author.url}?"))[-1]
    assert [cited.title for cited in done.cited] == ["Irena Vold"]
    assert [report.status for report in done.coverage.engines] == ["failed"]
