import pytest

from agent.repeats import Given, Repeats, say_again
from agent.types import Answer, Message, Question, Sampling, Text, Thinking, Usage

QUESTION = Question((Message("user", "Who built it?"),))
ANSWER = Answer("Eiffel", "Hm.", (), (), Usage(), "stop", None)
GIVEN = Given(ANSWER, "chatcmpl-1")


def test_an_answer_is_given_again_to_its_owner_for_the_very_same_question():
    repeats = Repeats(60)
    repeats.keep("me", QUESTION, GIVEN)

    assert repeats.of("me", QUESTION) is GIVEN
    assert repeats.of("you", QUESTION) is None
    assert repeats.of("me", Question(QUESTION.messages, effort="high")) is None
    assert repeats.of("me", Question(QUESTION.messages, sampling=Sampling(logit_bias={"1": 2}))) is None


def test_nothing_is_kept_where_the_setting_says_so():
    repeats = Repeats(0)
    repeats.keep("me", QUESTION, GIVEN)

    assert repeats.of("me", QUESTION) is None


def test_what_is_too_large_is_not_kept():
    repeats = Repeats(60, most_chars=100)
    repeats.keep("me", QUESTION, GIVEN)

    assert repeats.of("me", QUESTION) is None


@pytest.mark.anyio
async def test_an_answer_is_told_again_in_order():
    said = []

    async def emit(event):
        said.append(event)

    await say_again(ANSWER, emit)

    assert said == [Thinking("Hm."), Text("Eiffel"), ANSWER]
