import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.budget import estimated, source_tokens, writing
from agent.reason import ModelInfo, Patience
from agent.settings import EFFORTS
from agent.types import Message, Question

TOKENS = st.integers(1, 100_000)
LIMITS = st.none() | TOKENS
INFOS = st.builds(
    ModelInfo,
    id=st.just("m"),
    context_tokens=st.integers(1, 200_000),
    patience=st.none() | st.builds(Patience, TOKENS, TOKENS, TOKENS),
)


def question(*texts: str, **limits) -> Question:
    return Question(tuple(Message("user", text) for text in texts or ("x",)), **limits)


QUESTIONS = st.builds(
    lambda texts, answer, total: question(*texts, max_answer_tokens=answer, max_total_tokens=total),
    st.lists(st.integers(0, 60_000).map(lambda size: "x" * size), min_size=1, max_size=3),
    LIMITS,
    LIMITS,
)
PROFILES = st.sampled_from(list(EFFORTS.values()))


@given(QUESTIONS, PROFILES, INFOS)
def test_what_is_written_stays_within_every_limit(asked, effort, info):
    thinking, answer = writing(asked, effort, info)
    assert thinking >= 0
    assert answer >= 0
    assert thinking <= effort.thinking_tokens
    if info.patience is not None:
        assert thinking <= info.patience.thinking_tokens
    if asked.max_answer_tokens is None:
        assert answer <= effort.answer_tokens
        assert info.patience is None or answer <= info.patience.answer_tokens
    else:
        assert answer <= asked.max_answer_tokens
    if asked.max_total_tokens is not None:
        assert thinking + answer <= asked.max_total_tokens


@given(TOKENS, QUESTIONS, PROFILES, INFOS)
def test_sources_fit_beside_all_else(told, asked, effort, info):
    tokens = source_tokens(told, asked, effort, info)
    assert 0 <= tokens <= effort.source_tokens
    if tokens:
        assert told + tokens + sum(writing(asked, effort, info)) <= info.context_tokens
    if info.patience is not None:
        assert tokens <= info.patience.prompt_tokens


@pytest.mark.parametrize(
    ("limits", "written"),
    [
        ({}, (4096, 2048)),
        ({"max_answer_tokens": 100}, (4096, 100)),
        ({"max_answer_tokens": 4000}, (4096, 4000)),
        ({"max_answer_tokens": 10**9}, (4_096, 6_553)),
        ({"max_total_tokens": 3000}, (952, 2048)),
        ({"max_total_tokens": 100}, (0, 100)),
        ({"max_total_tokens": 10**9}, (4096, 2048)),
        ({"max_answer_tokens": 500, "max_total_tokens": 1000}, (500, 500)),
    ],
)
def test_a_client_limits_the_answer_or_all_of_it(limits, written):
    assert writing(question(**limits), EFFORTS["medium"], ModelInfo("m", 32_768)) == written


@given(TOKENS, TOKENS)
def test_a_longer_conversation_leaves_no_more_for_sources(some, more):
    info = ModelInfo("m", 16_384)
    short, long = (source_tokens(told, question(), EFFORTS["medium"], info) for told in (some, some + more))
    assert long <= short


def test_the_estimate_counts_more_tokens_for_scripts_that_take_more():
    told = (Message("user", "x" * 1_000), Message("assistant", "x" * 1_000))
    tokens = [estimated(told, language) for language in ("en", "ru", "zh")]
    assert tokens == sorted(tokens)
    assert tokens[0] > 2_000 / 3.4
    assert tokens[2] > 2_000 / 1.3
