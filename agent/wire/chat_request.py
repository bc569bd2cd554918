"""The request of POST /v1/chat/completions: what is read, what is refused and how it becomes a Question. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent.errors import BadRequest
from agent.side_requests import TASKS, is_side_request
from agent.types import CitationStyle, Effort, Message, Question, Role, Sampling, Verbosity
from agent.wire.fields import (
    EFFORT_STEPS,
    FORMS,
    INT64,
    MAX_QUESTION_CHARS,
    AnswerFields,
    Body,
    EffortStep,
    Kind,
    WebSearchOptions,
    answer_form,
    check_text,
    listed,
    not_text,
    only,
    parts,
    refuse_functions,
)
from agent.wire.offers import Offer, find_offer
from agent.wire.past_answers import past_answer
from retrieval.types import SearchFilters

MAX_MESSAGES = 1_000
MAX_STOPS = 4
MAX_BIASES = 1_024
# Tools by which a client asks for a search; dated versions begin with the same words.
SEARCH_TOOLS = ("web_search", "deepseek_web_search")

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "user": "user",
    "tool": "user",
    "function": "user",
}


Stops = Annotated[list[str], Field(max_length=MAX_STOPS)]


class Part(Body):
    """One part of a message."""

    type: str
    text: str = ""
    refusal: str = ""


class Turn(Body):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        list[Part],
        BeforeValidator(parts, json_schema_input_type=str | list[Part] | None),
    ] = Field(default=[], description="text, or parts of type text; images, sound and files are refused")


class StreamOptions(Body):
    """How to stream."""

    include_usage: bool = Field(default=False, description="end the stream with a chunk of token counts")


class JsonSchema(Body):
    """The schema of a JSON answer."""

    schema_: Any = Field(default=None, alias="schema")


class ResponseFormat(Body):
    """The form of the answer."""

    type: str = Field(json_schema_extra=FORMS)
    json_schema: JsonSchema | None = None


class ThinkingSwitch(Body):
    """DeepSeek's switch of thinking."""

    type: Literal["enabled", "disabled", "auto"] = "enabled"


class TemplateSwitch(Body):
    """vLLM's switches of thinking, one for each family of models."""

    thinking: bool = True
    enable_thinking: bool = True


class ChatRequest(AnswerFields):
    """A conversation to answer."""

    model: str = Field(examples=["wellread"])
    messages: list[Turn] = Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        examples=[[{"role": "user", "content": "How do I copy a directory tree in Python?"}]],
    )
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: Annotated[int, only(1)] = 1
    max_tokens: int | None = Field(default=None, ge=1, description="tokens of the visible answer")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="tokens of reasoning and answer together")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = Field(default=None, ge=-INT64, lt=INT64)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    logit_bias: dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]] = Field(
        default={}, max_length=MAX_BIASES
    )
    stop: Annotated[Stops, BeforeValidator(listed, json_schema_input_type=str | Stops)] = Field(
        default=[], description="the visible answer ends before the first of these"
    )
    logprobs: Annotated[bool, only(False)] = False
    top_logprobs: Annotated[int, only(0)] = 0
    response_format: ResponseFormat = ResponseFormat(type="text")
    tools: list[Kind] = Field(default=[], description="web_search forces a search; functions are never called")
    tool_choice: str | Kind = "auto"
    function_call: Annotated[str | dict[str, Any], WithJsonSchema({"type": "string"})] = "auto"
    web_search_options: WebSearchOptions = WebSearchOptions()
    reasoning_effort: EffortStep | None = Field(
        default=None, description="the dial of wellread: none and minimal count as low, xhigh and max as high"
    )
    verbosity: Verbosity | None = Field(default=None, description="how long the answer is to be")
    modalities: list[Annotated[Literal["text", "audio"], only("text")]] = Field(default=["text"])
    service_tier: str | None = Field(default=None, description="the answer says default")
    include_reasoning: bool = Field(default=True, description="whether the reasoning is shown")
    thinking: ThinkingSwitch = ThinkingSwitch()
    chat_template_kwargs: TemplateSwitch = TemplateSwitch()
    status_events: bool = Field(default=False, description="tell progress as Open WebUI's status events too")


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
    messages = _messages(request.messages)
    brief = hints.task in TASKS or is_side_request(
        messages, defaults.side_markers, stream=request.stream, max_tokens=request.max_tokens
    )
    searches = offer.search and not request.disable_search and hints.search.lower() != "off" and not brief
    schema = request.response_format.json_schema
    return Question(
        messages=messages,
        effort=chosen_effort(offer, request.reasoning_effort, request.web_search_options, defaults.effort),
        search=searches and request.messages[-1].role == "user",
        must_search=any(tool.type.startswith(SEARCH_TOOLS) for tool in request.tools),
        brief=brief,
        filters=located(request.filters(), request.web_search_options),
        sampling=_sampling(request),
        citation_style=request.citation_style or defaults.style,
        show_reasoning=request.include_reasoning,
        think=_thinks(request),
        form=answer_form(request.response_format.type, schema and schema.schema_, "response_format"),
        verbosity=request.verbosity,
        place=request.web_search_options.user_location.said,
        max_answer_tokens=request.max_tokens,
        max_total_tokens=request.max_completion_tokens,
        max_seconds=request.max_time,
        max_sources=request.max_returned_urls,
        max_annotations=request.max_annotations,
        stop=tuple(stop for stop in request.stop if stop),
    )


def chosen_effort(offer: Offer, step: EffortStep | None, options: WebSearchOptions, default: Effort) -> Effort:
    """Choose the effort: quick, deep and chat have their own; else the request's, else the server's."""
    if offer.effort is not None:
        return offer.effort
    if step is not None:
        return EFFORT_STEPS[step]
    return options.search_context_size or default


def located(filters: SearchFilters, options: WebSearchOptions) -> SearchFilters:
    """Add the country that a search is to be made from."""
    country = options.user_location.country
    return filters.at(country.lower()) if country else filters


def _thinks(request: ChatRequest) -> bool:
    template = request.chat_template_kwargs
    switched_on = request.thinking.type != "disabled" and template.thinking and template.enable_thinking
    return switched_on and request.reasoning_effort != "none"


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.n != 1:
        raise BadRequest("n: only one answer a request is given; send n=1 or leave it out.", "n", "unsupported_value")
    if request.logprobs or request.top_logprobs:
        raise BadRequest("logprobs: not offered, for citation marks are rewritten.", "logprobs", "unsupported_value")
    if "audio" in request.modalities:
        raise BadRequest("modalities: only text is offered; leave audio out.", "modalities", "unsupported_value")
    refuse_functions(request.tools, request.tool_choice)
    if isinstance(request.function_call, dict):
        message = "function_call: functions are never called here; send 'auto' or 'none', or leave it out."
        raise BadRequest(message, "function_call", "unsupported_value")


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
        logit_bias=request.logit_bias or None,
    )


def _messages(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """Turn the conversation into text, without turns that say nothing. Raises BadRequest."""
    texts = [_text(turn, number) for number, turn in enumerate(turns)]
    asked = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=None)
    if asked is not None:
        check_text(texts[asked], f"messages[{asked}].content", MAX_QUESTION_CHARS)
    messages = tuple(Message(ROLES[turn.role], text) for turn, text in zip(turns, texts, strict=True) if text.strip())
    if not messages:
        raise BadRequest("messages: none of them has any text; send a question.", "messages")
    return messages


def _text(turn: Turn, number: int) -> str:
    for place, part in enumerate(turn.content):
        if part.type not in {"text", "refusal"}:
            raise not_text(part.type, f"messages[{number}].content[{place}]")
    text = "".join(part.text or part.refusal for part in turn.content)
    return past_answer(text) if turn.role == "assistant" else text
