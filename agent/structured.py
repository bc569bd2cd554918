"""Asks a model for one small JSON object, within a time. What it costs is told either way."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from agent.errors import AgentError
from agent.reason import Finished, Model, Prompt
from agent.types import Message, Sampling, Text, Usage

ReplyT = TypeVar("ReplyT", bound=BaseModel)
# Planning wants the likeliest words, not varied ones.
SAMPLING = Sampling(temperature=0.2)


@dataclass(frozen=True, slots=True)
class Structured(Generic[ReplyT]):
    """A model's reply, or None and the `fault`: the model was slow, failed, or talked nonsense."""

    reply: ReplyT | None
    usage: Usage
    fault: str = ""


async def structured(
    told: Sequence[Message], schema: Mapping[str, Any], kind: type[ReplyT], tokens: int, seconds: float, model: Model
) -> Structured[ReplyT]:
    """Ask without thoughts for at most `tokens` that keep to the schema; `kind` reads them leniently."""
    text, usage = "", Usage()
    prompt = Prompt(tuple(told), 0, tokens, SAMPLING, schema)
    try:
        with anyio.fail_after(seconds):
            async with aclosing(model.stream(prompt)) as events:
                async for event in events:
                    text += event.text if isinstance(event, Text) else ""
                    usage = event.usage if isinstance(event, Finished) else usage
    except (AgentError, TimeoutError) as error:
        return Structured(None, usage, type(error).__name__)
    try:
        return Structured(kind.model_validate_json(_object(text)), usage)
    except ValidationError:
        return Structured(None, usage, "its reply could not be read")


def _object(text: str) -> str:
    """Return the JSON object in a text: a server that holds to no schema may put words or a fence around it."""
    return text[text.find("{") : text.rfind("}") + 1]
