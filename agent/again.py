"""Asks a model, and a bounded number of times again where its run led to no answer or into another language."""

import logging
import math
from dataclasses import dataclass, replace

from agent import progress, prompts
from agent.cite import CitationReader
from agent.reason import Emit, Model, Prompt, Reasoned, reason
from agent.types import Text

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """All of a run but its prompt.

    `stops` end the visible answer; `until`, by anyio's clock, ends the thinking. `language` is the one to keep to, None
    for any. `limited`: the client limits all that is written, so that there is nothing left for a second run.
    """

    model: Model
    marks: CitationReader
    emit: Emit
    stops: tuple[str, ...] = ()
    until: float = math.inf
    language: str | None = None
    limited: bool = False

    async def run(self, prompt: Prompt) -> Reasoned:
        """Run the model once."""
        return await reason(
            prompt, self.model, self.marks, self.stops, self.emit, until=self.until, language=self.language
        )


async def said(prompt: Prompt, asking: Asking) -> Reasoned:
    """Let the model think and answer; where its thinking does not end in an answer, ask for that alone."""
    first = await asking.run(prompt)
    if first.drifted:
        return await _reminded(first, prompt, asking)
    if not first.unfinished or not prompt.thinking_tokens or (asking.limited and not first.out_of_time):
        return first
    log.warning("the model thought %d characters without an answer; it is asked for that alone", len(first.reasoning))
    return _both(first, await replace(asking, until=math.inf).run(replace(prompt, thinking_tokens=0)))


async def _reminded(first: Reasoned, prompt: Prompt, asking: Asking) -> Reasoned:
    """Ask a model that drifted once more with a reminder; where it drifts again, for the answer alone, as it comes."""
    log.warning("the model drifted into another language; it is asked again")
    prompt = replace(prompt, messages=prompts.reminded(prompt.messages, asking.language or ""))
    last = first
    if first.unfinished and prompt.thinking_tokens:
        last = _both(first, await asking.run(prompt))
    if not last.drifted and not last.unfinished:
        return last
    await _begin_anew(asking)
    at_once = replace(prompt, thinking_tokens=0)
    return _both(last, await replace(asking, until=math.inf, language=None).run(at_once))


async def _begin_anew(asking: Asking) -> None:
    """Tell a reader who has seen the beginning of an answer that another one follows."""
    if asking.marks.text:
        await asking.emit(Text(asking.marks.feed(progress.anew(asking.language or ""))))


def _both(first: Reasoned, second: Reasoned) -> Reasoned:
    """Join two runs: the end of the second, and all that both took."""
    return replace(
        second,
        reasoning=first.reasoning + second.reasoning,
        usage=first.usage + second.usage,
        out_of_time=first.out_of_time or second.out_of_time,
        drifts=first.drifts + second.drifts,
    )
