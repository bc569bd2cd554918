"""Runs a model over a context and yields what it thinks and says, as it comes.

Knows no search and no wire format of ours; an engine behind `Model` knows the rest.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from agent.types import FinishReason, Message, Sampling, Text, Thinking, Usage


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model is: its own id, and how many tokens of prompt and answer together it can hold."""

    id: str
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call of a model. Budgets are in tokens; `thinking_tokens` 0 asks for no reasoning at all."""

    messages: tuple[Message, ...]
    thinking_tokens: int
    answer_tokens: int
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a model call."""

    usage: Usage
    reason: FinishReason


ModelEvent = Thinking | Text | Finished


class Model(Protocol):
    """A reasoning model. Thinking comes before Text; exactly one Finished ends the stream."""

    async def info(self) -> ModelInfo:
        """Tell what the model is. Raises ModelUnavailable when it cannot be reached: the check before any work."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Run the model. Closing the generator stops the generation at once.

        Raises ModelUnavailable, ModelFailed or ModelTimeout.
        """
        ...
