from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import plan as planning
from agent.errors import ModelFailed, ModelUnavailable
from agent.plan import QUERY_CHARS, plan, query_text
from agent.reason import Finished, ModelInfo, Prompt
from agent.types import Message, Question, Text, Thinking, Usage
from retrieval.types import Query, SearchFilters

pytestmark = pytest.mark.anyio
FILTERS = SearchFilters(domains=("a.org",))
EARLIER = (Message("user", "How tall is the Eiffel tower?"), Message("assistant", "It is 330 m tall [1]."))


@dataclass
class Scripted:
    """A model that says one thing, or raises."""

    said: str = ""
    error: Exception | None = None
    thinks: bool = True
    delay: float = 0.0
    prompts: list[Prompt] = field(default_factory=list)
    closed: bool = False

    async def info(self) -> ModelInfo:
        return ModelInfo("scripted", 4096, native_thinking=self.thinks)

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


def question(*texts: str) -> Question:
    return Question((*EARLIER, *(Message("user", text) for text in texts)), filters=FILTERS)


async def test_a_first_question_is_searched_as_it_stands():
    model = Scripted("never asked")
    system = Message("system", "Be brief.")
    made = await plan(Question((system, Message("user", " How tall is\nthe tower? ")), filters=FILTERS), model)
    assert made.question == "How tall is\nthe tower?"
    assert made.queries == (Query("How tall is the tower?", None, FILTERS),)
    assert made.note is None
    assert model.prompts == []


@pytest.mark.parametrize(
    ("text", "language", "searched"),
    [("Какова высота башни?", "ru", "ru"), ("How tall is it?", "en", None), ("東京タワーの高さは?", "ja", "ja")],
)
async def test_queries_are_searched_in_their_language_but_english_everywhere(text, language, searched):
    made = await plan(Question((Message("user", text),)), Scripted())
    assert made.language == language
    assert [query.language for query in made.queries] == [searched]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("How much does the Eiffel tower weigh?", "How much does the Eiffel tower weigh?"),
        ('\n\n"Weight of the Eiffel tower"\nI hope that helps!', "Weight of the Eiffel tower"),
        ("- «Weight of the tower»", "Weight of the tower"),
    ],
)
async def test_a_follow_up_is_written_out_by_the_model(said, written):
    model = Scripted(said)
    made = await plan(question("And its weight?"), model)
    assert made.question == written
    assert made.queries == (Query(written, None, FILTERS),)
    assert made.note is None
    assert model.closed
    (prompt,) = model.prompts
    assert "Eiffel" in prompt.messages[0].content
    assert "Last question: And its weight?" in prompt.messages[0].content


async def test_a_model_that_thinks_of_itself_is_let_think():
    model = Scripted("x", thinks=True)
    await plan(question("And its weight?"), model)
    (prompt,) = model.prompts
    assert (prompt.thinking_tokens, prompt.answer_tokens) == (planning.REWRITE_THINKING_TOKENS, planning.REWRITE_TOKENS)


async def test_a_small_model_is_not_asked_and_the_turn_before_is_searched_along():
    model = Scripted("x", thinks=False)
    made = await plan(question("And its weight?"), model)
    assert model.prompts == []
    assert made.question == made.queries[0].text
    assert made.question.endswith(" And its weight?")
    assert made.note is None


@pytest.mark.parametrize("error", [ModelFailed("broke off"), ModelUnavailable("gone")])
async def test_without_the_model_the_turn_before_is_searched_along(error):
    made = await plan(question("And its weight?"), Scripted(error=error))
    assert made.question == "How tall is the Eiffel tower? And its weight?"
    assert [query.text for query in made.queries] == [made.question]
    assert made.note == f"the follow-up was searched with the turn before it: {type(error).__name__}"


async def test_a_slow_model_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(planning, "REWRITE_SECONDS", 0.05)
    made = await plan(question("And its weight?"), Scripted("too late", delay=30))
    assert made.note
    assert "TimeoutError" in made.note


@pytest.mark.parametrize("said", ["", " \n \n", '""'])
async def test_when_the_model_writes_nothing_the_turn_before_is_searched_along(said):
    made = await plan(question("And its weight?"), Scripted(said))
    assert made.question == "How tall is the Eiffel tower? And its weight?"
    assert [query.text for query in made.queries] == [made.question]
    assert made.note == "the follow-up was searched with the turn before it: the model wrote nothing"
    assert made.usage == Usage(1, 1)


async def test_the_clients_own_queries_come_first():
    made = planning.given(question("And its weight?"), ["tower weight", "tower mass", "tower weight"], "de")
    assert made.question == "And its weight?"
    assert made.queries == (Query("tower weight", "de", FILTERS), Query("tower mass", "de", FILTERS))
    assert [query.text for query in planning.given(question("Вес?"), [], None).queries] == ["Вес?"]


async def test_a_long_question_is_cut_at_a_word_for_the_engines_alone():
    text = "word " * 200
    made = await plan(Question((Message("user", text),)), Scripted())
    assert made.question == text.strip()
    assert made.queries[0].text.split() == ["word"] * 80


@given(st.text(max_size=900))
def test_a_query_is_one_short_line(text):
    line = query_text(text)
    assert len(line) <= QUERY_CHARS
    assert line.split() == text.split()[: len(line.split())] or " " not in line
    assert line == " ".join(line.split())
