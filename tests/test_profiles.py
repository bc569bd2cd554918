import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.profiles import DEEPSEEK_API, PLAIN, PROFILES, R1, FirstReply, told_apart
from agent.reason import Prompt
from agent.types import Message

THINKS, TAGS, TALKS = FirstReply(reasoning=True, text=""), FirstReply(False, "<think>\nOk"), FirstReply(False, "Hello!")


@pytest.mark.parametrize(
    ("name", "model", "reply", "profile", "inside"),
    [
        ("auto", "DeepSeek-R1-Distill-Qwen-7B", THINKS, "r1", False),
        ("auto", "DeepSeek-R1-Distill-Qwen-7B", TAGS, "r1", False),
        ("auto", "DeepSeek-R1-Distill-Qwen-7B", TALKS, "r1", True),
        ("auto", "DeepSeek-R1-Distill-Qwen-7B", None, "r1", False),
        ("auto", "Qwen3-8B", THINKS, "r1", False),
        ("auto", "Qwen2.5-7B-Instruct", TALKS, "plain", False),
        ("auto", "Qwen2.5-7B-Instruct", None, "plain", False),
        ("plain", "DeepSeek-R1", THINKS, "plain", False),
        ("r1", "anything", THINKS, "r1", False),
        ("deepseek-api", "anything", None, "deepseek-api", False),
    ],
)
def test_a_model_is_told_by_its_name_and_its_first_reply(name, model, reply, profile, inside):
    told = told_apart(name, model, reply)
    assert (told.name, told.inside) == (profile, inside)


def test_a_plain_model_that_cannot_think_is_not_asked_to():
    asked = Prompt((Message("user", "How tall?"),), 100, 50)
    assert told_apart("plain", "m", None, think=False).messages(asked) == asked.messages
    assert told_apart("plain", "m", None).messages(asked) != asked.messages
    assert told_apart("r1", "m", THINKS, think=False) == R1


@given(
    st.sampled_from(list(PROFILES.values())),
    st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=9)), min_size=1),
    st.integers(0, 9_000),
)
def test_no_word_is_lost_on_the_way_to_a_model(profile, messages, tokens):
    sent = profile.messages(Prompt(tuple(messages), tokens, 10))
    text = "\n\n".join(message.content for message in sent)
    assert all(message.content in text for message in messages)
    assert sent


def test_each_kind_has_its_own_fields():
    asked = Prompt((Message("user", "How tall?"),), 100, 50)
    assert R1.fields(asked) == {"thinking_token_budget": 100}
    assert PLAIN.fields(asked) == {}
    assert set(DEEPSEEK_API.fields(asked)) == {"thinking", "reasoning_effort"}
