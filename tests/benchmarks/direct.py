"""Reads for a question in this process, past HTTP and the model."""

import anyio.to_thread

from agent import pipeline
from agent.plan import unaided
from agent.tools import Tools
from agent.types import Event, Message, Question, Reading

CONTEXT_CHARS = 12_000


async def read(text: str, tools: Tools, pages: int, context_chars: int = CONTEXT_CHARS) -> Reading:
    """Search, read, rank and pack. Raises SearchUnavailable."""
    question = Question((Message("user", text),))
    plan = await anyio.to_thread.run_sync(unaided, question)
    return await pipeline.read(question, plan, tools, _ignored, pages=pages, context_chars=context_chars)


async def _ignored(event: Event) -> None:
    pass
