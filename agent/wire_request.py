"""The requests of the OpenAI shapes: what is read, what is refused and how it becomes a Question. Pure.

Fields that are not named here are ignored and never passed on to a model.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent.errors import BadRequest, ModelNotFound
from agent.settings import MAX_PAGES
from agent.side_requests import TASKS, is_side_request
from agent.types import CitationStyle, Effort, Message, Question, Role, Sampling
from retrieval.types import Recency, SearchFilters

MAX_QUESTION_CHARS = 32_000
MAX_QUERY_CHARS = 2_000
MAX_MESSAGES = 1_000
MAX_DOMAINS = 20
MAX_STOPS = 4
# Tools by which a client asks for a search.
SEARCH_TOOLS = frozenset({"web_search", "web_search_preview", "deepseek_web_search"})
MAX_QUERIES = 10
MAX_CONTEXT_CHARS = 200_000
DEFAULT_CONTEXT_CHARS = 12_000
INT64 = 2**63

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "user": "user",
    "tool": "user",
    "function": "user",
}
EFFORT_STEPS: Mapping[str, Effort] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
LINK_MARK = re.compile(r"\[\[(\d{1,4})\]\]\((?:[^()\s]|\([^()\s]*\))*\)")
WORD_CHARACTER = re.compile(r"[^\W_]")
SCHEME = re.compile(r"^https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Offer:
    """A model id that clients may ask for. `effort` None: the server's default, or what the request says."""

    id: str
    name: str
    effort: Effort | None
    search: bool


OFFERS = (
    Offer("wellread", "Wellread", None, search=True),
    Offer("wellread-quick", "Wellread Quick", "low", search=True),
    Offer("wellread-deep", "Wellread Deep", "high", search=True),
    Offer("wellread-chat", "Wellread Chat (no search)", "low", search=False),
)


def find_offer(model: str) -> Offer:
    """Find what a model id offers. Raises ModelNotFound."""
    for offer in OFFERS:
        if offer.id == model:
            return offer
    raise ModelNotFound(model, tuple(offer.id for offer in OFFERS))


def _parts(content: object) -> object:
    """Read a string as one part; null is a turn without text (a call of a tool)."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError("must be a string or a list of parts")
    return content


def _strings(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Body(BaseModel):
    """What every request shares: null is absent, unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: object) -> object:
        if not isinstance(data, dict):
            raise ValueError("must be a JSON object")
        nested = data.get("extra_body")
        merged = {**nested, **data} if isinstance(nested, dict) else data
        return {name: value for name, value in merged.items() if value is not None}


class Part(_Body):
    """One part of a message."""

    type: str
    text: str = ""
    refusal: str = ""


class Turn(_Body):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[list[Part], BeforeValidator(_parts)] = []


class StreamOptions(_Body):
    """How to stream."""

    include_usage: bool = False


class WebSearchOptions(_Body):
    """OpenAI's dial of the search."""

    search_context_size: Effort | None = None


class Kind(_Body):
    """The kind of a tool or of a response format."""

    type: str


class FilterFields(_Body):
    """What results must satisfy, in Perplexity's names."""

    search_domain_filter: list[str] = Field(default=[], max_length=MAX_DOMAINS)
    search_recency_filter: Recency | None = None
    search_after_date_filter: str | None = None
    search_before_date_filter: str | None = None

    def filters(self) -> SearchFilters:
        """Turn the fields into filters. Raises BadRequest."""
        after = _iso_date(self.search_after_date_filter, "search_after_date_filter")
        before = _iso_date(self.search_before_date_filter, "search_before_date_filter")
        wanted, excluded = _domains(self.search_domain_filter)
        return SearchFilters(wanted, excluded, self.search_recency_filter, after, before)


class ChatRequest(FilterFields):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: list[Turn] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = 1
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = Field(default=None, ge=-INT64, lt=INT64)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    stop: Annotated[list[str], BeforeValidator(_strings)] = Field(default=[], max_length=MAX_STOPS)
    logprobs: bool = False
    top_logprobs: int = 0
    response_format: Kind = Kind(type="text")
    tools: list[Kind] = []
    tool_choice: str | Kind = "auto"
    web_search_options: WebSearchOptions = WebSearchOptions()
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    include_reasoning: bool = True
    disable_search: bool = False
    max_time: float | None = Field(default=None, gt=0, le=3_600)
    citation_style: CitationStyle | None = None


class SearchRequest(FilterFields):
    """The body of POST /v1/search."""

    query: str
    max_chars: int = Field(default=DEFAULT_CONTEXT_CHARS, ge=100, le=MAX_CONTEXT_CHARS)
    pages: int | None = Field(default=None, ge=1, le=MAX_PAGES)
    queries: list[str] = Field(default=[], min_length=1, max_length=MAX_QUERIES)
    language: str | None = Field(default=None, pattern="^[a-z]{2}$")


@dataclass(frozen=True, slots=True)
class Hints:
    """What comes beside the body: the headers X-Task (the name of a side request) and X-Search ("off")."""

    task: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the server's settings say of every chat request; `side_markers` mark side requests beside those known."""

    effort: Effort
    style: CitationStyle
    side_markers: tuple[str, ...] = ()


def chat_question(request: ChatRequest, defaults: Defaults, hints: Hints = Hints()) -> Question:
    """Turn a chat request into a Question. Raises BadRequest."""
    offer = find_offer(request.model)
    _refuse_unsupported(request)
    filters = request.filters()
    messages = _messages(request.messages)
    markers = defaults.side_markers
    brief = hints.task in TASKS or is_side_request(
        messages, markers, stream=request.stream, max_tokens=request.max_tokens
    )
    wanted = offer.search and not request.disable_search and hints.search.lower() != "off" and not brief
    return Question(
        messages=messages,
        effort=_effort(offer, request, defaults.effort),
        search=wanted and request.messages[-1].role == "user",
        must_search=any(tool.type in SEARCH_TOOLS for tool in request.tools),
        brief=brief,
        filters=filters,
        sampling=_sampling(request),
        citation_style=request.citation_style or defaults.style,
        show_reasoning=request.include_reasoning,
        max_answer_tokens=request.max_tokens,
        max_total_tokens=request.max_completion_tokens,
        max_seconds=request.max_time,
        stop=tuple(stop for stop in request.stop if stop),
    )


def search_question(request: SearchRequest) -> Question:
    """Turn a search request into a Question. Raises BadRequest."""
    _check_text(request.query, "query", MAX_QUERY_CHARS)
    for number, query in enumerate(request.queries):
        _check_text(query, f"queries[{number}]", MAX_QUERY_CHARS)
    asked = (Message("user", request.query.strip()),)
    return Question(messages=asked, exact=bool(request.queries), filters=request.filters())


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> BadRequest:
    """Say the first of pydantic's complaints in OpenAI's shape, with the path of the field."""
    first = errors[0]
    path = [step for step in first["loc"] if step != "body"]
    if first["type"] == "json_invalid":
        return BadRequest(f"The body is not valid JSON: {first['ctx']['error']} at character {path[-1]}.")
    if not path:
        return BadRequest("The body must be a JSON object, sent with 'Content-Type: application/json'.")
    param = _param(path)
    return BadRequest(f"{param}: {str(first['msg']).removeprefix('Value error, ')}.", param)


def _param(path: Sequence[str | int]) -> str:
    """Write a path as clients know it: messages[0].content."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.n != 1:
        raise BadRequest("n: only one answer a request is given; send n=1 or leave it out.", "n", "unsupported_value")
    if request.logprobs or request.top_logprobs:
        raise BadRequest("logprobs: not offered, for citation marks are rewritten.", "logprobs", "unsupported_value")
    if request.response_format.type != "text":
        message = "response_format: only {'type': 'text'} is offered; ask for the format in the message instead."
        raise BadRequest(message, "response_format", "unsupported_value")
    _refuse_calls(request)


def _refuse_calls(request: ChatRequest) -> None:
    """Refuse what must end in a call of a function: this server calls none of a client's functions."""
    if not any(tool.type == "function" for tool in request.tools):
        return
    choice = request.tool_choice
    if choice == "required" or (isinstance(choice, Kind) and choice.type == "function"):
        message = "tool_choice: functions are never called here; send 'auto' or 'none', or leave the tools out."
        raise BadRequest(message, "tool_choice", "unsupported_value")


def _effort(offer: Offer, request: ChatRequest, default: Effort) -> Effort:
    """Choose the effort: quick, deep and chat have their own; else the request's, else the server's."""
    if offer.effort is not None:
        return offer.effort
    if request.reasoning_effort is not None:
        return EFFORT_STEPS[request.reasoning_effort]
    return request.web_search_options.search_context_size or default


def _sampling(request: ChatRequest) -> Sampling:
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        repetition_penalty=request.repetition_penalty,
        seed=request.seed,
    )


def _messages(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """Turn the conversation into text, without turns that say nothing. Raises BadRequest."""
    texts = [_text(turn, number) for number, turn in enumerate(turns)]
    asked = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=None)
    if asked is not None:
        _check_text(texts[asked], f"messages[{asked}].content", MAX_QUESTION_CHARS)
    messages = tuple(Message(ROLES[turn.role], text) for turn, text in zip(turns, texts, strict=True) if text.strip())
    if not messages:
        raise BadRequest("messages: none of them has any text; send a question.", "messages")
    return messages


def _text(turn: Turn, number: int) -> str:
    for place, part in enumerate(turn.content):
        if part.type not in {"text", "refusal"}:
            param = f"messages[{number}].content[{place}]"
            raise BadRequest(f"{param}: only text is read here, not {part.type!r}.", param, "unsupported_content")
    text = "".join(part.text or part.refusal for part in turn.content)
    return past_answer(text) if turn.role == "assistant" else text


def past_answer(text: str) -> str:
    """Clean an earlier answer of ours: no thoughts, and marks without their links."""
    return LINK_MARK.sub(r"[\1]", _without_thoughts(text))


def _without_thoughts(text: str) -> str:
    """Drop thoughts, also one cut off. The pattern sees no opening without its close, so its time stays linear."""
    closed = text.rfind("</think>") + len("</think>") if "</think>" in text else 0
    rest = text[closed:].lstrip()
    return THOUGHT.sub("", text[:closed]) + ("" if rest.startswith("<think>") else rest)


def _check_text(text: str, param: str, limit: int) -> None:
    if len(text) > limit:
        message = f"{param}: {len(text)} characters are too many; shorten it to at most {limit}."
        raise BadRequest(message, param, "string_above_max_length")
    if not WORD_CHARACTER.search(text):
        raise BadRequest(f"{param}: there is nothing to answer; write a question with at least one word.", param)


def _domains(entries: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part wanted domains from excluded ones, which begin with a minus."""
    cleaned = [(entry.strip().startswith("-"), _host(entry)) for entry in entries]
    if not all(host for _, host in cleaned):
        param = "search_domain_filter"
        raise BadRequest(f"{param}: every entry must be a domain, as in 'example.org' or '-example.org'.", param)
    wanted = tuple(host for excluded, host in cleaned if not excluded)
    return wanted, tuple(host for excluded, host in cleaned if excluded)


def _host(entry: str) -> str:
    return SCHEME.sub("", entry.strip().removeprefix("-").strip()).split("/")[0].lower()


def _iso_date(text: str | None, param: str) -> str | None:
    """Read a date as Perplexity (%m/%d/%Y) or ISO writes it. Raises BadRequest."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%m/%d/%Y").date() if "/" in text else date.fromisoformat(text)
    except ValueError:
        message = f"{param}: write the date as 2026-01-31 or 01/31/2026."
        raise BadRequest(message, param) from None
    return day.isoformat()
