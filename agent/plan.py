"""Plans what to search: the question as it stands alone, its language, and the queries.

A first question is searched as it stands. A follow-up ("and its height?") means nothing to a search engine, so the
model is asked to write it out. A small model cannot: there the turn before is searched along with it. So it is when the
model fails or says nothing, and the plan's note says that.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import anyio
import anyio.to_thread

from agent import prompts
from agent.errors import AgentError
from agent.reason import Finished, Model, Prompt
from agent.side_requests import asked as asked_of
from agent.types import Message, Plan, Question, Text, Usage
from retrieval.language import detect
from retrieval.types import Query, SearchFilters

QUERY_CHARS = 400
REWRITE_SECONDS = 30.0
REWRITE_TOKENS = 120
# A model that thinks of itself must be let think, or it spends the line on its thoughts.
REWRITE_THINKING_TOKENS = 800
NOT_REWRITTEN = "the follow-up was searched with the turn before it"
DECORATION = " \"'«»“”*`-"


async def plan(question: Question, model: Model) -> Plan:
    """Make the plan of one question."""
    asked = asked_of(question.messages[-1].content)
    # In a thread: the first text that needs statistics loads a model, which takes a second.
    language = await anyio.to_thread.run_sync(detect, asked)
    if not any(message.role == "assistant" for message in question.messages):
        return planned(asked, [asked], language, question.filters)
    joined = _with_turn_before(question.messages)
    if not (await model.info()).native_thinking:
        return planned(joined, [joined], language, question.filters)
    try:
        with anyio.fail_after(REWRITE_SECONDS):
            line, usage = await _rewritten(question.messages, language, model)
    except (AgentError, TimeoutError) as error:
        return planned(joined, [joined], language, question.filters, f"{NOT_REWRITTEN}: {type(error).__name__}")
    note = None if line else f"{NOT_REWRITTEN}: the model wrote nothing"
    return replace(planned(line or joined, [line or joined], language, question.filters, note), usage=usage)


def given(question: Question, queries: Sequence[str], language: str | None) -> Plan:
    """Make a plan of the client's own queries or language."""
    asked = asked_of(question.messages[-1].content)
    return planned(asked, list(queries) or [asked], language or detect(asked), question.filters)


def planned(question: str, texts: list[str], language: str, filters: SearchFilters, note: str | None = None) -> Plan:
    """Make a plan of given query texts."""
    queries = tuple(Query(query_text(text), _searched(language), filters) for text in dict.fromkeys(texts))
    return Plan(question, language, queries, note)


def query_text(text: str) -> str:
    """Return one line that an engine takes: a long text is cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= QUERY_CHARS else line[:QUERY_CHARS].rsplit(" ", 1)[0]


def _searched(language: str) -> str | None:
    # English is the web's own language: restricting to it would only hide pages.
    return None if language == "en" else language


async def _rewritten(messages: tuple[Message, ...], language: str, model: Model) -> tuple[str, Usage]:
    """Return the question as it stands alone ("" when the model said nothing), and what that cost."""
    asked = Message("user", prompts.standalone(messages, language))
    prompt = Prompt((asked,), REWRITE_THINKING_TOKENS, REWRITE_TOKENS)
    text, usage = "", Usage()
    async with aclosing(model.stream(prompt)) as events:
        async for event in events:
            text += event.text if isinstance(event, Text) else ""
            usage = event.usage if isinstance(event, Finished) else usage
    return next((line for row in text.splitlines() if (line := row.strip(DECORATION))), ""), usage


def _with_turn_before(messages: tuple[Message, ...]) -> str:
    asked = [asked_of(message.content) for message in messages if message.role == "user"][-2:]
    return " ".join(asked)
