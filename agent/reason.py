"""Runs a model over a prompt: its thoughts and its answer as they come, citation marks read out, stop strings obeyed.

Knows no search and no wire format of ours; an engine behind `Model` knows the rest.
"""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from agent.cite import CitationReader
from agent.language_watch import LanguageWatch
from agent.links import LinkReader
from agent.stop import StopReader
from agent.types import Event, FinishReason, Message, Sampling, Text, Thinking, Usage
from retrieval.computing import proven

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

    `small`: it must be asked in few and plain words, and is not believed in what it cannot know. `patience` None: it is
    fast.
    """

    id: str
    context_tokens: int
    small: bool = False
    patience: Patience | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call of a model. Budgets are in tokens; `thinking_tokens` 0 asks for no reasoning at all.

    `schema`: the JSON schema that the answer keeps to, where the model's server can hold it to one; None for any text.
    """

    messages: tuple[Message, ...]
    thinking_tokens: int
    answer_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    schema: Mapping[str, Any] | None = None


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
    """How a run of the model ended. The visible answer is in the CitationReader.

    `out_of_time`: the clock ended the thinking. `unfinished`: it ended without a word of an answer. `drifted`: it was
    ended because it was written in another language; `drifts` counts that over all runs.
    """

    reasoning: str
    usage: Usage
    reason: FinishReason
    out_of_time: bool = False
    unfinished: bool = False
    drifted: bool = False
    drifts: int = 0


async def reason(
    prompt: Prompt,
    model: Model,
    marks: CitationReader,
    stops: tuple[str, ...],
    emit: Emit,
    *,
    until: float = math.inf,
    language: str | None = None,
) -> Reasoned:
    """Run the model; emit Thinking and Text as they come. Raises what the model raises.

    `until`: the time of anyio's clock at which thinking is ended; an answer that has begun is written to its end.
    `language`: a two-letter code; what is not in its script ends the run. None: any will do.
    """
    links = marks.links.again() if marks.links else None
    run = _Run(marks, StopReader(stops), LanguageWatch(language), LanguageWatch(language), emit, links)
    usage, ended, pieces = Usage(), "stop", 0
    with anyio.CancelScope(deadline=until) as thinking:
        async with aclosing(model.stream(prompt)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    usage, ended = event.usage, event.reason
                    continue
                pieces += 1
                if isinstance(event, Thinking):
                    await run.think(event.text)
                elif thinking.cancel_called:
                    break  # too late by a moment: the next wait would end it in mid-sentence
                else:
                    await run.say(event.text)
                    if run.begun:
                        thinking.deadline = math.inf
                if run.over:
                    break
    await run.end()
    if thinking.cancel_called or (run.drifted and usage == Usage()):
        # The model counts at its end only: a piece is about a token.
        usage = Usage(completion=pieces, reasoning=0 if run.begun else pieces)
    finish: FinishReason = "stop" if run.stop.stopped or ended == "stop" else "length"
    unfinished, out_of_time = not run.begun, thinking.cancel_called
    return Reasoned("".join(run.thoughts), usage, finish, out_of_time, unfinished, run.drifted, int(run.drifted))


@dataclass(slots=True)
class _Run:
    """What a run has said so far: thoughts and text go through their watches, the text through `stop` and `marks` too.

    `begun`: some of the answer has come.
    """

    marks: CitationReader
    stop: StopReader
    of_thoughts: LanguageWatch
    of_answer: LanguageWatch
    emit: Emit
    links_of_thoughts: LinkReader | None = None
    thoughts: list[str] = field(default_factory=list)
    begun: bool = False

    @property
    def drifted(self) -> bool:
        return self.of_thoughts.drifted or self.of_answer.drifted

    @property
    def over(self) -> bool:
        return self.stop.stopped or self.drifted

    async def think(self, text: str) -> None:
        await self._show_thought(self.of_thoughts.feed(text))

    async def say(self, text: str) -> None:
        await self._show_thought(self.of_thoughts.flush(), end=True)
        if self.of_thoughts.drifted:
            return
        # Models put blank lines between their thoughts and their answer.
        visible = text if self.begun else text.lstrip()
        self.begun = self.begun or bool(visible)
        await self._show(await self._read(self.stop.feed(self.of_answer.feed(visible))))

    async def end(self) -> None:
        """Show what was held back."""
        await self._show_thought(self.of_thoughts.flush(), end=True)
        last = self.stop.feed(self.of_answer.flush()) + self.stop.flush()
        await self._show(await self._read(last, end=True))

    async def _read(self, text: str, *, end: bool = False) -> str:
        """Read the marks of a piece; in a thread where they are proven."""

        def read() -> str:
            return self.marks.feed(text) + (self.marks.flush() if end else "")

        return await proven(read) if self.marks.takes_time(text) else read()

    async def _show_thought(self, text: str, *, end: bool = False) -> None:
        if links := self.links_of_thoughts:
            text = links.feed(text) + (links.flush() if end else "")
        if text:
            self.thoughts.append(text)
            await self.emit(Thinking(text))

    async def _show(self, text: str) -> None:
        if text:
            await self.emit(Text(text))
