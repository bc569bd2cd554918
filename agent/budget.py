"""Shares a model's window among sources, thinking and answer. Pure; all in tokens."""

from collections.abc import Sequence

from agent.reason import ModelInfo
from agent.settings import EffortProfile
from agent.types import Message, Question

# Characters a token holds, measured with Qwen2.5's tokenizer on web text, rounded down; other scripts as Chinese.
CHARS_PER_TOKEN = {"zh": 1.3, "ja": 1.3, "ko": 1.3, "ru": 2.4, "uk": 2.2, "el": 1.8, "ar": 2.0, "hi": 1.3}
LATIN_CHARS_PER_TOKEN = 3.4
# What a chat template puts around the turns.
TEMPLATE_TOKENS = 100
# Shares of the window that writing may take at most, so that sources always have a place in it.
ANSWER_SHARE, THINKING_SHARE = 0.2, 0.35
# For a title and its like. R1 thinks whatever it is asked, and would spend a small limit on thoughts alone.
BRIEF_THINKING_TOKENS = 64


def chars_per_token(language: str) -> float:
    """Return how many characters of a language make a token, on the low side."""
    return CHARS_PER_TOKEN.get(language, LATIN_CHARS_PER_TOKEN)


def writing(question: Question, effort: EffortProfile, info: ModelInfo) -> tuple[int, int]:
    """Return the tokens for thinking and for the answer.

    Neither outgrows its share of the window. A client may ask for a longer answer than the effort's own; its limit of
    both together shortens the thinking first.
    """
    answer = question.max_answer_tokens or effort.answer_tokens
    answer = min(answer, int(info.context_tokens * ANSWER_SHARE))
    thinking = BRIEF_THINKING_TOKENS if question.brief else effort.thinking_tokens
    thinking = thinking if question.think else 0
    thinking = min(thinking, int(info.context_tokens * THINKING_SHARE))
    if info.patience is not None:
        thinking, answer = min(thinking, info.patience.thinking_tokens), min(answer, info.patience.answer_tokens)
    if question.max_total_tokens is not None:
        answer = min(answer, question.max_total_tokens)
        thinking = min(thinking, question.max_total_tokens - answer)
    return thinking, answer


def estimated(told: Sequence[Message], language: str) -> int:
    """Return how many tokens a prompt takes, from its characters: where the model cannot be asked to count."""
    return TEMPLATE_TOKENS + round(sum(len(message.content) for message in told) / chars_per_token(language))


def source_tokens(told: int, question: Question, effort: EffortProfile, info: ModelInfo) -> int:
    """Return how many tokens of sources the model takes: its window less all else that it is told and will write.

    `told` are the tokens of the prompt without any source.
    """
    tokens = info.context_tokens - told - sum(writing(question, effort, info))
    if info.patience is not None:
        tokens = min(tokens, info.patience.prompt_tokens)
    return max(0, min(effort.source_tokens, tokens))
