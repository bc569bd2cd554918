"""A scripted model that ships: it thinks a set thought and answers with a sentence of each source, cited.

For tests of everything around a model, and for trying a client without one. It is quick and exact, and knows nothing.
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio

from agent.reason import Finished, ModelEvent, ModelInfo, Prompt
from agent.types import Message, Text, Thinking, Usage

SOURCE = re.compile(r"\[webpage (\d+) begin\]\n(.*)\n(.*)")


class EchoModel:
    """Answers from the prompt alone. `delay_seconds` passes between pieces, as with a real model."""

    def __init__(self, delay_seconds: float = 0.0, most_sources: int = 3) -> None:
        self._delay = delay_seconds
        self._most_sources = most_sources

    async def info(self) -> ModelInfo:
        """Tell what the model is."""
        return ModelInfo("echo", 32_768)

    async def count(self, messages: tuple[Message, ...]) -> int | None:
        """Count nothing: it has no tokens."""
        return None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Think one sentence, then say the first line of the first sources, word by word; fill in a schema at once."""
        asked = prompt.messages[-1].content
        if prompt.schema is not None:
            yield Text(json.dumps(_instance(prompt.schema, asked.strip().splitlines()[-1]), ensure_ascii=False))
            yield Finished(Usage(len(asked.split()), 1), "stop")
            return
        thought = f"I was given {len(SOURCE.findall(asked))} webpages. " if prompt.thinking_tokens else ""
        for word in thought.split():
            await anyio.sleep(self._delay)
            yield Thinking(word + " ")
        words = self._answer(asked).split(" ")
        for word in words[: prompt.answer_tokens]:
            await anyio.sleep(self._delay)
            yield Text(word + " ")
        said = min(len(words), prompt.answer_tokens)
        usage = Usage(len(asked.split()), len(thought.split()) + said, len(thought.split()), 0)
        yield Finished(usage, "length" if said < len(words) else "stop")

    def _answer(self, asked: str) -> str:
        sources = SOURCE.findall(asked)[: self._most_sources]
        if not sources:
            return asked.strip().splitlines()[-1]
        return " ".join(f"{title}: {first} [{number}]." for number, title, first in sources)


def _instance(schema: object, text: str) -> Any:  # noqa: ANN401  (whatever a schema says)
    """Make the plainest value of a JSON schema: `text` for every string, true, zero, and empty lists."""
    if not isinstance(schema, Mapping):
        return text
    if "const" in schema or schema.get("enum"):
        return schema.get("const", [*schema.get("enum", []), None][0])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _instance(choices[0], text)
    kinds = schema.get("type", "string")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "object":
        return {name: _instance(part, text) for name, part in schema.get("properties", {}).items()}
    plain = {"array": [], "boolean": True, "integer": 0, "number": 0, "null": None}
    return plain.get(kind, text[: schema.get("maxLength")])
