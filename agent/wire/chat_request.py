"""The request of POST /v1/chat/completions: what is read, what is refused and how it becomes a Question. Pure."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent.errors import BadRequest
from agent.types import Question, Sampling, Verbosity
from agent.wire.answer_form import FORMS, answer_form
from agent.wire.asking import AnswerFields, Asked, Defaults, Hints, common_question
from agent.wire.conversation import Part, Said, parts, said
from agent.wire.fields import Body, listed, only
from agent.wire.search_options import EffortStep, Kind, WebSearchOptions

MAX_MESSAGES = 1_000
MAX_STOPS = 4
MAX_BIASES = 1_024
INT64 = 2**63
PARTS = frozenset({"text", "refusal"})

Stops = Annotated[list[str], Field(max_length=MAX_STOPS)]


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

    messages: list[Turn] = Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        examples=[[{"role": "user", "content": "How do I copy a directory tree in Python?"}]],
    )
    stream_options: StreamOptions = StreamOptions()
    n: Annotated[int, only(1)] = 1
    max_tokens: int | None = Field(default=None, ge=1, description="tokens of the visible answer")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="tokens of reasoning and answer together")
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
    service_tier: Any = Field(default=None, description="the answer says default")
    include_reasoning: bool = Field(default=True, description="whether the reasoning is shown")
    thinking: ThinkingSwitch = ThinkingSwitch()
    chat_template_kwargs: TemplateSwitch = TemplateSwitch()
    status_events: bool = Field(default=False, description="tell progress as Open WebUI's status events too")


def chat_question(request: ChatRequest, defaults: Defaults, hints: Hints) -> Question:
    """Turn a chat request into a Question. Raises BadRequest."""
    _refuse_unsupported(request)
    schema = request.response_format.json_schema
    return replace(
        common_question(request, _asked(request), defaults, hints),
        sampling=_sampling(request),
        show_reasoning=request.include_reasoning,
        think=_thinks(request),
        form=answer_form(request.response_format.type, schema and schema.schema_, "response_format"),
        verbosity=request.verbosity,
        max_total_tokens=request.max_completion_tokens,
        stop=tuple(stop for stop in request.stop if stop),
    )


def _asked(request: ChatRequest) -> Asked:
    return Asked(
        turns=[_said(turn, number) for number, turn in enumerate(request.messages)],
        param="messages",
        tools=request.tools,
        tool_choice=request.tool_choice,
        step=request.reasoning_effort,
        options=request.web_search_options,
        max_answer_tokens=request.max_tokens,
    )


def _said(turn: Turn, number: int) -> Said:
    return said(turn.role, turn.content, f"messages[{number}]", PARTS)


def _thinks(request: ChatRequest) -> bool:
    template = request.chat_template_kwargs
    switched_on = request.thinking.type != "disabled" and template.thinking and template.enable_thinking
    return switched_on and request.reasoning_effort != "none"


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.n != 1:
        raise BadRequest("n: only one answer a request is given; send n=1 or leave it out.", "n", "unsupported_value")
    for name in ("logprobs", "top_logprobs"):
        if getattr(request, name):
            message = f"{name}: not offered, for citation marks are rewritten; leave it out."
            raise BadRequest(message, name, "unsupported_value")
    if "audio" in request.modalities:
        raise BadRequest("modalities: only text is offered; leave audio out.", "modalities", "unsupported_value")
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
