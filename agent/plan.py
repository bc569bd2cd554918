"""Plans what to search: whether at all, the question as it stands alone, and the queries.

A fast model plans; a slow one only where the effort is high. Without a model, or where it fails or talks nonsense, a
question is searched as it stands, and a follow-up ("and its height?"), which means nothing to a search engine, along
with what was said before it. Addresses and sites in the question are read from its text, never asked of a model.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from agent import prompts
from agent.addresses import addresses, sites, without_addresses
from agent.reason import Model, ModelInfo
from agent.settings import EFFORTS
from agent.side_requests import asked as asked_of
from agent.structured import structured
from agent.types import Message, Plan, Question
from retrieval.computing import computed
from retrieval.language import detect, pages_in, to_search
from retrieval.types import Query, Recency, SearchFilters

QUERY_CHARS: Final = 400
SECONDS: Final = 30.0
TOKENS: Final = 300
# Of an earlier turn, what is searched along with a follow-up.
TURN_CHARS: Final = 150
UNPLANNED: Final = "the model planned no queries"
# All of a message, so that a question that begins with a greeting is still a question.
SMALL_TALK: Final = re.compile(
    r"(?:(?:hi|hello|hey|good (?:morning|evening|afternoon|night)|thanks?(?: you)?(?: very much| a lot)?|bye|goodbye"
    r"|привет|здравствуй(?:те)?|добр(?:ый|ое|ой) (?:день|утро|вечер|ночи)|спасибо(?: большое)?|благодарю|пока"
    r"|до свидания|there|all|всем|how are you(?: doing)?(?: today)?|who are you|what can you do|nice to meet you"
    r"|как (?:у (?:тебя|вас) )?дела|как (?:ты|вы|жизнь)|кто (?:ты|вы)|что (?:ты умеешь|вы умеете))[\s,.!?)😊🙏👋]*)+",
    re.IGNORECASE,
)
# The first two of a small model found more than three or six: what it adds says the same in other words (2026-11-24).
SLOW_QUERIES: Final = 2


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore")
    search: bool = True
    question: str = ""
    recency: Literal["any", Recency] | str = "any"
    queries: list[str] = []


async def plan(question: Question, model: Model) -> Plan:
    """Make the plan of one question. Raises ModelUnavailable."""
    # In a thread: the first text that needs statistics loads a model, which takes a second.
    made = await computed(unaided, question)
    if SMALL_TALK.fullmatch(made.question) and not question.must_search:
        return replace(made, search=False)
    info = await model.info()
    most = _most_queries(question, info)
    if not (most or (_is_follow_up(question.messages) and info.patience is None)):
        return made
    today = datetime.now(UTC).date().isoformat()
    told = prompts.plan(question.messages, made.language, most, today)
    answer = await structured(told, _schema(most), _Reply, TOKENS, SECONDS, model)
    if answer.reply is None:
        return replace(made, note=f"{UNPLANNED}: {answer.fault}", usage=answer.usage)
    return replace(_aided(made, answer.reply, question, most, info), usage=answer.usage)


def unaided(question: Question, language: str | None = None) -> Plan:
    """Make a plan without a model. Blocks: call it in a thread."""
    asked = asked_of(question.messages[-1].content)
    language = language or detect(asked)
    texts = _with_earlier(question.messages) if _is_follow_up(question.messages) else [asked]
    made = planned(" ".join(_asked(question.messages)[-2:]), texts, language, question.filters)
    at = tuple(
        Query(query_text(asked), pages_in(language), replace(question.filters, domains=(site,)))
        for site in sites(asked)
        if not question.filters.domains
    )
    return replace(made, addresses=addresses(asked), further=at)


def given(question: Question, queries: Sequence[str], language: str | None) -> Plan:
    """Make a plan of the client's own queries or language. Blocks: call it in a thread."""
    if not queries:
        return unaided(question, language)
    asked = asked_of(question.messages[-1].content)
    return planned(asked, queries, language or detect(asked), question.filters)


def planned(question: str, texts: Sequence[str], language: str, filters: SearchFilters) -> Plan:
    """Make a plan of given query texts; what is nothing but addresses is not searched."""
    lines = dict.fromkeys(query_text(without_addresses(text)) for text in texts)
    return Plan(question, language, tuple(Query(line, pages_in(language), filters) for line in lines if line))


def new_queries(
    texts: Sequence[str], language: str, filters: SearchFilters, searched: Sequence[Query]
) -> tuple[Query, ...]:
    """Make queries, each once, of what was not `searched`, for a question in `language`."""
    known = {"", *(query.text.lower() for query in searched)}
    lines = dict.fromkeys(query_text(text) for text in texts)
    return tuple(Query(line, to_search(line, language), filters) for line in lines if line.lower() not in known)


def query_text(text: str) -> str:
    """Return one line that an engine takes: a long text is cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= QUERY_CHARS else line[:QUERY_CHARS].rsplit(" ", 1)[0]


def _most_queries(question: Question, info: ModelInfo) -> int:
    """Return how many queries the model may plan: a slow one is asked only where people have time."""
    effort = EFFORTS[question.effort]
    if info.patience is None:
        return effort.queries
    return min(effort.queries, SLOW_QUERIES) if effort.rounds > 1 else 0


def _schema(most: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "search": {"type": "boolean"},
            "question": {"type": "string", "maxLength": QUERY_CHARS},
            "recency": {"type": "string", "enum": ["any", *get_args(Recency)]},
            "queries": {"type": "array", "maxItems": most, "items": {"type": "string", "maxLength": 120}},
        },
        "required": ["search", "question", "recency", "queries"],
        "additionalProperties": False,
    }


def _aided(made: Plan, reply: _Reply, question: Question, most: int, info: ModelInfo) -> Plan:
    """Put what the model planned into a plan. Slow models are not believed that nothing, or only news, is needed."""
    wanted = made.addresses or question.must_search or info.patience is not None
    if not reply.search and not wanted:
        return replace(made, search=False)
    made = _standing_alone(made, reply.question, question)
    filters = _recent(question.filters, reply.recency) if info.patience is None else question.filters
    more = new_queries(reply.queries, made.language, filters, made.queries)[:most]
    return replace(made, further=(*made.further, *more))


def _standing_alone(made: Plan, alone: str, question: Question) -> Plan:
    """Put the question of a follow-up as the model wrote it out first, unless it only repeats the last turn."""
    if not _is_follow_up(question.messages) or _words(alone) <= _words(_asked(question.messages)[-1]):
        return made
    first = Query(query_text(alone), pages_in(made.language), question.filters)
    return replace(made, question=first.text, queries=(first, *made.queries))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _recent(filters: SearchFilters, recency: str) -> SearchFilters:
    """Add the recency that the model found fit, where the client has set no dates of its own."""
    if recency not in get_args(Recency) or filters.recency or filters.after or filters.before:
        return filters
    return replace(filters, recency=recency)  # type: ignore[arg-type]


def _is_follow_up(messages: Sequence[Message]) -> bool:
    return any(message.role == "assistant" for message in messages)


def _asked(messages: Sequence[Message]) -> list[str]:
    """Return what the user has asked so far."""
    return [asked_of(message.content) for message in messages if message.role == "user"]


def _with_earlier(messages: Sequence[Message]) -> list[str]:
    """Return the queries of a follow-up: with the last answer, and with the first question.

    Of such combinations these found most of what 195 conversations need (2026-11-24); its words alone mislead.
    """
    asked = _asked(messages)
    answers = [prompts.unmarked(message.content) for message in messages if message.role == "assistant"]
    return [f"{asked[-1]} {answers[-1][:TURN_CHARS]}", f"{asked[0]} {asked[-1]}"]
