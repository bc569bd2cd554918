import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import plan as planning
from agent.errors import ModelFailed, ModelUnavailable
from agent.plan import QUERY_CHARS, plan, query_text, unaided
from agent.reason import Finished, ModelInfo, Patience, Prompt
from agent.types import Message, Question, Text, Thinking, Usage
from retrieval.types import Query, SearchFilters

pytestmark = pytest.mark.anyio
FILTERS = SearchFilters(domains=("a.org",))
EARLIER = (Message("user", "How tall is the Eiffel tower?"), Message("assistant", "It is 330 m tall [1]."))
SLOW = Patience(1_000, 100, 200)


def reply(question: str = "", queries=(), recency: str = "any", *, search: bool = True) -> str:
    return json.dumps({"search": search, "question": question, "recency": recency, "queries": list(queries)})


@dataclass
class Scripted:
    """A model that says one thing, or raises."""

    said: str = ""
    error: Exception | None = None
    patience: Patience | None = None
    delay: float = 0.0
    prompts: list[Prompt] = field(default_factory=list)
    closed: bool = False

    async def info(self) -> ModelInfo:
        return ModelInfo("scripted", 4096, patience=self.patience)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Thinking | Text | Finished, None]:
        self.prompts.append(prompt)
        try:
            await anyio.sleep(self.delay)
            yield Thinking("Hm. ")
            if self.error:
                raise self.error
            for word in self.said.split(" "):
                yield Text(word + " ")
            yield Finished(Usage(1, 1), "stop")
        finally:
            self.closed = True


def question(*texts: str, earlier=EARLIER, filters=FILTERS, **options) -> Question:
    return Question((*earlier, *(Message("user", text) for text in texts)), filters=filters, **options)


def first(text: str, **options) -> Question:
    return question(text, earlier=(), filters=SearchFilters(), **options)


def texts(queries) -> list[str]:
    return [query.text for query in queries]


async def test_a_question_is_searched_as_it_stands_and_by_what_the_model_planned():
    model = Scripted(reply(queries=["Eiffel tower height", "Eiffel tower weight", " eiffel  tower height", ""]))
    made = await plan(first(" How tall is\nthe tower? "), model)
    assert made.question == "How tall is\nthe tower?"
    assert made.queries == (Query("How tall is the tower?"),)
    assert texts(made.further) == ["Eiffel tower height", "Eiffel tower weight", "eiffel tower height"]
    assert (made.note, made.search, made.usage) == (None, True, Usage(1, 1))
    (prompt,) = model.prompts
    assert prompt.thinking_tokens == 0
    assert prompt.schema["required"] == ["search", "question", "recency", "queries"]
    assert model.closed


@pytest.mark.parametrize(("effort", "most"), [("low", 0), ("medium", 4), ("high", 6)])
async def test_the_effort_says_how_many_queries_are_planned(effort, most):
    model = Scripted(reply(queries=[f"tower {number}" for number in range(9)]))
    made = await plan(first("How tall is the tower?", effort=effort), model)
    assert len(made.further) == most
    assert len(model.prompts) == (most > 0)


@pytest.mark.parametrize(("effort", "asked"), [("low", 0), ("medium", 0), ("high", 1)])
async def test_a_slow_model_plans_only_where_people_have_time(effort, asked):
    model = Scripted(reply(queries=[f"tower {number}" for number in range(9)]), patience=SLOW)
    made = await plan(first("How tall is the tower?", effort=effort), model)
    await plan(question("And its weight?", effort=effort), model)
    assert len(model.prompts) == 2 * asked
    assert len(made.further) == planning.SLOW_QUERIES * asked
    assert all(prompt.schema["properties"]["queries"]["maxItems"] == planning.SLOW_QUERIES for prompt in model.prompts)


@pytest.mark.parametrize(
    ("text", "language", "searched"),
    [("Какова высота башни?", "ru", "ru"), ("How tall is it?", "en", None), ("東京タワーの高さは?", "ja", "ja")],
)
async def test_queries_are_searched_in_their_language_but_english_everywhere(text, language, searched):
    made = await plan(first(text), Scripted(reply(queries=["Eiffel Tower height", "высота Эйфелевой башни"])))
    assert made.language == language
    assert [query.language for query in (*made.queries, *made.further)] == [searched, None, "ru"]


async def test_a_follow_up_is_searched_as_the_model_wrote_it_out():
    model = Scripted(reply("How much does the Eiffel tower weigh?", ["Eiffel tower weight"]))
    made = await plan(question("And its weight?", effort="low"), model)
    assert made.question == "How much does the Eiffel tower weigh?"
    assert made.queries[0] == Query(made.question, None, FILTERS)
    assert "And its weight? It is 330 m tall." in texts(made.queries)
    (prompt,) = model.prompts
    assert prompt.messages[0].content.endswith(
        "user: How tall is the Eiffel tower?\nassistant: It is 330 m tall.\nQuestion: And its weight?"
    )


async def test_a_follow_up_that_is_only_repeated_is_searched_with_what_was_said_before():
    model = Scripted(reply("and its weight.", ["Eiffel tower weight"]))
    made = await plan(question("And its weight?"), model)
    assert made.question == "How tall is the Eiffel tower? And its weight?"
    assert made.queries == unaided(question("And its weight?")).queries
    assert texts(made.further) == ["Eiffel tower weight"]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Scripted(error=ModelFailed("broke off")), "ModelFailed"),
        (Scripted(error=ModelUnavailable("gone")), "ModelUnavailable"),
        (Scripted(""), "its reply could not be read"),
        (Scripted("Sure! Here is your plan."), "its reply could not be read"),
        (Scripted('{"queries": "one"}'), "its reply could not be read"),
        (Scripted('{"queries": ["cut'), "its reply could not be read"),
    ],
)
async def test_without_a_plan_a_follow_up_is_searched_with_what_was_said_before(model, why):
    made = await plan(question("And its weight?"), model)
    assert made.question == "How tall is the Eiffel tower? And its weight?"
    assert texts(made.queries) == [
        "And its weight? It is 330 m tall.",
        "How tall is the Eiffel tower? And its weight?",
    ]
    assert made.note == f"the model planned no queries: {why}"


async def test_a_plan_in_a_fence_is_a_plan():
    made = await plan(first("How tall is it?"), Scripted(f"```json\n{reply(queries=['tower height'])}\n```"))
    assert texts(made.further) == ["tower height"]


async def test_a_silent_model_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(planning, "SECONDS", 0.05)
    model = Scripted("too late", delay=30)
    made = await plan(question("And its weight?"), model)
    assert made.note
    assert "TimeoutError" in made.note
    assert model.closed


@pytest.mark.parametrize(("patience", "searched"), [(None, False), (SLOW, True)])
async def test_the_model_says_whether_to_search_unless_it_is_small(patience, searched):
    asked = first("Write a poem about the sea", effort="high")
    assert (await plan(asked, Scripted(reply(search=False), patience=patience))).search is searched


async def test_a_named_page_is_read_whatever_the_model_says():
    asked = first("Sum up https://a.org/x_(y)?z=1, please.")
    made = await plan(asked, Scripted(reply(search=False)))
    assert made.search
    assert made.addresses == ("https://a.org/x_(y)?z=1",)
    assert texts(made.queries) == ["Sum up please."]


@pytest.mark.parametrize("text", ["Hello!", "Write a poem about the sea"])
async def test_a_client_that_asks_for_a_search_gets_one(text):
    assert (await plan(first(text, must_search=True), Scripted(reply(search=False)))).search


@pytest.mark.parametrize(
    "text",
    [
        *("Hello!", "hi there", "Thanks, bye", "Hi! How are you?", "Who are you?"),
        *("Привет!", "Спасибо большое 😊", "Привет, как дела?", "Что ты умеешь?"),
    ],
)
async def test_small_talk_is_never_searched(text):
    model = Scripted(patience=SLOW)
    assert not (await plan(first(text), model)).search
    assert model.prompts == []


@pytest.mark.parametrize(
    "text",
    ["Hello, how tall is the tower?", "hiking boots", "Привет, какова высота башни?", "Как дела у Apple?", "пока"],
)
async def test_what_only_begins_like_small_talk_is_searched(text):
    assert (await plan(first(text), Scripted(patience=SLOW))).search is (text != "пока")


@pytest.mark.parametrize(
    ("given", "recency", "filters"),
    [
        (SearchFilters(), "week", SearchFilters(recency="week")),
        (SearchFilters(), "any", SearchFilters()),
        (SearchFilters(), "whenever", SearchFilters()),
        (SearchFilters(recency="year"), "week", SearchFilters(recency="year")),
        (SearchFilters(after="2020-01-01"), "week", SearchFilters(after="2020-01-01")),
    ],
)
async def test_recency_is_for_what_was_planned_and_the_clients_own_comes_first(given, recency, filters):
    made = await plan(question("How tall?", earlier=(), filters=given), Scripted(reply("", ["tall"], recency)))
    assert [query.filters for query in made.further] == [filters]
    assert made.queries[0].filters == given


async def test_a_slow_model_is_not_believed_that_only_news_is_wanted():
    asked = first("How tall is the tower?", effort="high")
    made = await plan(asked, Scripted(reply("", ["tower height"], "day"), patience=SLOW))
    assert [query.filters.recency for query in made.further] == [None]


@pytest.mark.parametrize(
    ("text", "query", "searched"),
    [
        # Names that statistics take for another language.
        ("Who overthrew Gruffydd and Bleddyn?", "Gruffydd Bleddyn king Wales", None),
        ("Wer hat den Roman Strandloper geschrieben?", "Strandloper Roman wer geschrieben hat", "de"),
        ("Wer hat den Roman Strandloper geschrieben?", "роман Strandloper автор", "ru"),
    ],
)
async def test_of_other_latin_languages_only_that_of_the_question_is_believed(text, query, searched):
    made = await plan(first(text), Scripted(reply(queries=[query])))
    assert [each.language for each in made.further] == [searched]


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("What do they say on habr.com about uv?", "habr.com"),
        ("Что пишут на habr.com про uv?", "habr.com"),
        ("news from bbc.co.uk today", "bbc.co.uk"),
        ("How do I install on Node.js?", None),
        ("What is json.loads?", None),
    ],
)
async def test_a_named_site_is_searched_too(text, site):
    made = unaided(first(text))
    assert [query.filters.domains for query in made.further] == ([(site,)] if site else [])
    assert made.queries[0].filters.domains == ()


async def test_addresses_alone_are_read_without_a_search():
    made = unaided(first("https://a.org/x http://b.org"))
    assert made.addresses == ("https://a.org/x", "http://b.org")
    assert made.queries == ()


async def test_the_clients_own_queries_are_all():
    made = planning.given(question("And its weight?"), ["tower weight", "tower mass", "tower weight"], "de")
    assert made.question == "And its weight?"
    assert made.queries == (Query("tower weight", "de", FILTERS), Query("tower mass", "de", FILTERS))
    assert texts(planning.given(first("Вес?"), [], None).queries) == ["Вес?"]
    assert planning.given(first("Hello"), [], "de").queries == (Query("Hello", "de"),)


async def test_a_long_question_is_cut_at_a_word_for_the_engines_alone():
    text = "word " * 200
    made = await plan(first(text), Scripted())
    assert made.question == text.strip()
    assert made.queries[0].text.split() == ["word"] * 80


@given(st.text(max_size=900))
def test_a_query_is_one_short_line(text):
    line = query_text(text)
    assert len(line) <= QUERY_CHARS
    assert line.split() == text.split()[: len(line.split())] or " " not in line
    assert line == " ".join(line.split())


@given(st.text(alphabet='{}"a:,[] \n', max_size=40))
async def test_whatever_a_model_says_a_plan_is_made(said):
    made = await plan(first("How tall is the tower?"), Scripted(said))
    assert texts(made.queries) == ["How tall is the tower?"]
    assert made.further == ()
