"""The request of POST /v1/responses, as far as it is stateless: what is read and refused, and its Question. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agent.errors import BadRequest
from agent.types import Effort, Question, Sampling, Verbosity
from agent.wire.answer_form import FORMS, answer_form
from agent.wire.asking import AnswerFields, Asked, Defaults, Hints, common_question
from agent.wire.conversation import MAX_QUESTION_CHARS, Part, Said, parts, said
from agent.wire.fields import NULL, Body, nullable, only
from agent.wire.filters import hosts
from agent.wire.past_answers import past_answer
from agent.wire.search_options import SEARCH_TOOLS, EffortStep, Kind, Place, WebSearchOptions, is_search

MAX_ITEMS = 1_000
MAX_METADATA = 16
SEARCH_TYPE = f"^({'|'.join(SEARCH_TOOLS)})"
PARTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text"})
# The id of an answer given here begins so; clients that believe it stored send the id in place of the text.
MESSAGE_ID = "msg_"

Recalled = Callable[[str], str | None]


def _items(value: object) -> object:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class InputItem(Body):
    """A message; items of other kinds tell of calls and thoughts and are passed over, but for references to answers."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant", "tool"] = "user"
    content: Annotated[list[Part], BeforeValidator(parts, json_schema_input_type=str | list[Part] | None)] = Field(
        default=[]
    )
    id: str = ""


class ToolFilters(Body):
    """What a search tool may read."""

    allowed_domains: list[str] = Field(default=[], max_length=100)


def _or_other(schema: dict[str, Any]) -> None:
    """Say that the fields of a tool are those of a search only where it is one."""
    nullable(schema)
    kind = {"type": "string", "pattern": SEARCH_TYPE}
    other = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string", "not": kind}}}
    searching = schema | {"properties": schema["properties"] | {"type": kind}}
    schema.clear()
    schema["anyOf"] = [searching, other]


class Tool(Kind):
    """A tool; of all kinds only those of web search mean something here."""

    model_config = ConfigDict(json_schema_extra=_or_other)

    search_context_size: Effort | None = None
    user_location: Place = Place()
    filters: ToolFilters | None = None
    external_web_access: bool = True

    @model_validator(mode="before")
    @classmethod
    def _ignore_others(cls, data: object) -> object:
        """Read of other tools nothing but their kind: their fields mean what they like."""
        kind = data.get("type") if isinstance(data, dict) else None
        return {"type": kind} if isinstance(kind, str) and not is_search(kind) else data


class ReasoningOptions(Body):
    """How hard to think. A summary is always given: it is the reasoning itself."""

    effort: EffortStep | None = None
    summary: str | None = None


class TextForm(Body):
    """The form of the answer, flat."""

    type: str = Field(default="text", json_schema_extra=FORMS)
    name: str = ""
    schema_: Any = Field(default=None, alias="schema")


class TextOptions(Body):
    """The form and length of the answer."""

    format: TextForm = TextForm()
    verbosity: Verbosity | None = None


class ResponsesRequest(AnswerFields):
    """A conversation to answer, in the newer API's shape. Responses are not stored."""

    input: Annotated[
        list[InputItem],
        BeforeValidator(_items, json_schema_input_type=str | list[InputItem]),
        Field(min_length=1, max_length=MAX_ITEMS, examples=["How do I copy a directory tree in Python?"]),
    ]
    instructions: str | None = Field(default=None, max_length=MAX_QUESTION_CHARS)
    max_output_tokens: int | None = Field(default=None, ge=1, description="tokens of reasoning and answer together")
    metadata: dict[str, str] = Field(default={}, max_length=MAX_METADATA, description="given back as it came")
    tools: list[Tool] = Field(default=[], description="those of web search force a search; others are never called")
    tool_choice: str | Kind = "auto"
    reasoning: ReasoningOptions = ReasoningOptions()
    text: TextOptions = TextOptions()
    include: list[str] = Field(default=[], examples=[["web_search_call.action.sources"]])
    previous_response_id: Annotated[str | None, WithJsonSchema(NULL)] = Field(
        default=None, description="send the conversation as input"
    )
    conversation: Annotated[Any, WithJsonSchema(NULL)] = Field(
        default=None, description="send the conversation as input"
    )
    background: Annotated[bool, only(False)] = False


def responses_question(request: ResponsesRequest, defaults: Defaults, hints: Hints, recalled: Recalled) -> Question:
    """Turn a request into a Question; `recalled` gives the text of an earlier answer by its id. Raises BadRequest."""
    _refuse_unsupported(request)
    searching = [tool for tool in request.tools if is_search(tool.type)]
    allowed = [domain for tool in searching if tool.filters for domain in tool.filters.allowed_domains]
    common = common_question(request, _asked(request, searching, recalled), defaults, hints)
    domains = (*common.filters.domains, *hosts(allowed, "tools.filters.allowed_domains"))
    return replace(
        common,
        filters=replace(common.filters, domains=domains),
        sampling=Sampling(temperature=request.temperature, top_p=request.top_p),
        form=answer_form(request.text.format.type, request.text.format.schema_, "text.format"),
        verbosity=request.text.verbosity,
        max_total_tokens=request.max_output_tokens,
    )


def _refuse_unsupported(request: ResponsesRequest) -> None:
    for name in ("previous_response_id", "conversation"):
        if getattr(request, name) is not None:
            message = f"{name}: responses are not stored here; send the whole conversation as input."
            raise BadRequest(message, name, "previous_response_not_found")
    if request.background:
        raise BadRequest("background: not offered; leave it out, and stream.", "background", "unsupported_value")


def _asked(request: ResponsesRequest, searching: Sequence[Tool], recalled: Recalled) -> Asked:
    told = (_said(item, number, recalled) for number, item in enumerate(request.input))
    return Asked(
        turns=[Said("system", (request.instructions or "").strip(), "instructions"), *told],
        param="input",
        tools=request.tools,
        tool_choice=request.tool_choice,
        step=request.reasoning.effort,
        options=_options(searching),
        off=any(not tool.external_web_access for tool in searching),
    )


def _options(searching: Sequence[Tool]) -> WebSearchOptions:
    size = next((tool.search_context_size for tool in searching if tool.search_context_size), None)
    place = next((tool.user_location for tool in searching if tool.user_location.said), Place())
    return WebSearchOptions(search_context_size=size, user_location=place)


def _said(item: InputItem, number: int, recalled: Recalled) -> Said:
    """Read one item; a call, a thought or a search says nothing here. Raises BadRequest."""
    param = f"input[{number}]"
    if item.type == "item_reference" and item.id.startswith(MESSAGE_ID):
        return Said("assistant", _referred(item.id, param, recalled), param)
    return said(item.role, item.content, param, PARTS) if item.type == "message" else Said(item.type, "", param)


def _referred(item_id: str, param: str, recalled: Recalled) -> str:
    """Return an earlier answer by its id. Raises BadRequest."""
    text = recalled(item_id)
    if text is None:
        message = f"{param}: {item_id!r} is not remembered any more; send the message itself (store: false)."
        raise BadRequest(message, param, "item_not_found")
    return past_answer(text)
