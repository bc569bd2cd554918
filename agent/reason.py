"""Runs a model over a prompt: its thoughts and its answer as they come, citation marks read out, stop strings obeyed.

Knows no search and no wire format of ours; an engine behind `Model` knows the rest.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from agent.cite import CitationReader
from agent.stop import StopReader
from agent.types import Event, FinishReason, Message, Sampling, Text, Thinking, Usage

Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """What people will wait for from a slow model, such as one on a CPU. All in tokens."""

    prompt_tokens: int
    thinking_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model is: its own id, and how many tokens of prompt and answer together it can hold.

    `native_thinking` False: the model is small and only prompted to think. `patience` None: it is fast.
    """

    id: str
    context_tokens: int
    native_thinking: bool = True
    patience: Patience | None = None


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

    async def count(self, messages: tuple[Message, ...]) -> int | None:
        """Count the tokens of a prompt, chat template included; None where the model cannot be asked.

        Raises ModelUnavailable, ModelFailed or ModelTimeout.
        """
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Run the model. Closing the generator stops the generation at once.

        Raises ModelUnavailable, ModelFailed or ModelTimeout.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reasoned:
    """How a run of the model ended. The visible answer is in the CitationReader."""

    reasoning: str
    usage: Usage
    reason: FinishReason


async def reason(prompt: Prompt, model: Model, marks: CitationReader, stops: tuple[str, ...], emit: Emit) -> Reasoned:
    """Run the model; emit Thinking and Text as they come. Raises what the model raises."""
    stop, thoughts, begun = StopReader(stops), list[str](), False
    usage, ended = Usage(), "stop"
    async with aclosing(model.stream(prompt)) as events:
        async for event in events:
            match event:
                case Thinking(text):
                    thoughts.append(text)
                    await emit(event)
                case Text(text):
                    # Models put blank lines between their thoughts and their answer.
                    visible = text if begun else text.lstrip()
                    begun = begun or bool(visible)
                    await _say(marks.feed(stop.feed(visible)), emit)
                case Finished():
                    usage, ended = event.usage, event.reason
            if stop.stopped:
                break
    await _say(marks.feed(stop.flush()) + marks.flush(), emit)
    return Reasoned("".join(thoughts), usage, "stop" if stop.stopped or ended == "stop" else "length")


async def _say(text: str, emit: Emit) -> None:
    if text:
        await emit(Text(text))
