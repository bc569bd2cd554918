"""The request of POST /v1/responses, as far as it is stateless: what is read and refused, and its Question. Pure."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent.errors import BadRequest
from agent.side_requests import TASKS, is_side_request
from agent.types import Effort, Message, Question, Sampling, Verbosity
from agent.wire.chat_request import ROLES, SEARCH_TOOLS, Defaults, Hints, chosen_effort, located
from agent.wire.fields import (
    FORMS,
    MAX_QUESTION_CHARS,
    NULL,
    AnswerFields,
    Body,
    EffortStep,
    Kind,
    Place,
    WebSearchOptions,
    answer_form,
    check_text,
    not_text,
    only,
    parts,
    refuse_functions,
)
from agent.wire.offers import find_offer
from agent.wire.past_answers import past_answer
from retrieval.types import SearchFilters

MAX_ITEMS = 1_000
MAX_METADATA = 16
TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text"})
# The id of an answer given here begins so; clients that believe it stored send the id in place of the text.
MESSAGE_ID = "msg_"

Recalled = Callable[[str], str | None]


def _items(value: object) -> object:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class InputPart(Body):
    """One part of a message."""

    type: str
    text: str = ""
    refusal: str = ""


class InputItem(Body):
    """A message; items of other kinds tell of calls and thoughts and are passed over, but for references to answers."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant", "tool"] = "user"
    content: Annotated[list[InputPart], BeforeValidator(parts, json_schema_input_type=str | list[InputPart] | None)] = (
        Field(default=[])
    )
    id: str = ""


class ToolFilters(Body):
    """What a search tool may read."""

    allowed_domains: list[str] = Field(default=[], max_length=100)


class Tool(Kind):
    """A tool; of all kinds only those of web search mean something here."""

    search_context_size: Effort | None = None
    user_location: Place = Place()
    filters: ToolFilters | None = None
    external_web_access: bool = True


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
    """A conversation to answer, in the newer API's shape. Nothing is stored."""

    model: str = Field(examples=["wellread"])
    input: Annotated[
        list[InputItem],
        BeforeValidator(_items, json_schema_input_type=str | list[InputItem]),
        Field(min_length=1, max_length=MAX_ITEMS, examples=["How do I copy a directory tree in Python?"]),
    ]
    instructions: str | None = Field(default=None, max_length=MAX_QUESTION_CHARS)
    stream: bool = False
    max_output_tokens: int | None = Field(default=None, ge=1, description="tokens of reasoning and answer together")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
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
    offer = find_offer(request.model)
    _refuse_unsupported(request)
    messages = _messages(request, recalled)
    searching = [tool for tool in request.tools if tool.type.startswith(SEARCH_TOOLS)]
    options = _options(searching)
    brief = hints.task in TASKS or is_side_request(messages, defaults.side_markers, stream=request.stream)
    off = request.disable_search or hints.search.lower() == "off" or any(not t.external_web_access for t in searching)
    return Question(
        messages=messages,
        effort=chosen_effort(offer, request.reasoning.effort, options, defaults.effort),
        search=offer.search and not off and not brief and messages[-1].role == "user",
        must_search=bool(searching),
        brief=brief,
        filters=located(_filters(request, searching), options),
        sampling=Sampling(temperature=request.temperature, top_p=request.top_p),
        citation_style=request.citation_style or defaults.style,
        think=request.reasoning.effort != "none",
        form=answer_form(request.text.format.type, request.text.format.schema_, "text.format"),
        verbosity=request.text.verbosity,
        place=options.user_location.said,
        max_total_tokens=request.max_output_tokens,
        max_seconds=request.max_time,
        max_sources=request.max_returned_urls,
        max_annotations=request.max_annotations,
    )


def _refuse_unsupported(request: ResponsesRequest) -> None:
    for name in ("previous_response_id", "conversation"):
        if getattr(request, name) is not None:
            message = f"{name}: nothing is stored here; send the whole conversation as input."
            raise BadRequest(message, name, "previous_response_not_found")
    if request.background:
        raise BadRequest("background: not offered; leave it out, and stream.", "background", "unsupported_value")
    refuse_functions(request.tools, request.tool_choice)


def _options(searching: Sequence[Tool]) -> WebSearchOptions:
    size = next((tool.search_context_size for tool in searching if tool.search_context_size), None)
    place = next((tool.user_location for tool in searching if tool.user_location.said), Place())
    return WebSearchOptions(search_context_size=size, user_location=place)


def _filters(request: ResponsesRequest, searching: Sequence[Tool]) -> SearchFilters:
    allowed = [domain for tool in searching if tool.filters for domain in tool.filters.allowed_domains]
    both = request.model_copy(update={"only_hostnames": [*request.only_hostnames, *allowed]})
    return both.filters()


def _messages(request: ResponsesRequest, recalled: Recalled) -> tuple[Message, ...]:
    """Turn the input into text, without items that say nothing. Raises BadRequest."""
    texts = [_text(item, number, recalled) for number, item in enumerate(request.input)]
    roles = ["assistant" if item.type == "item_reference" else ROLES[item.role] for item in request.input]
    asked = max((number for number, role in enumerate(roles) if role == "user" and texts[number]), default=None)
    if asked is not None:
        check_text(texts[asked], f"input[{asked}].content", MAX_QUESTION_CHARS)
    said = [Message(role, text) for role, text in zip(roles, texts, strict=True) if text.strip()]
    if not said:
        raise BadRequest("input: none of its items has any text; send a question.", "input")
    instructions = (request.instructions or "").strip()
    return (Message("system", instructions), *said) if instructions else tuple(said)


def _text(item: InputItem, number: int, recalled: Recalled) -> str:
    if item.type == "item_reference":
        return _referred(item.id, number, recalled)
    if item.type != "message":
        return ""
    for place, part in enumerate(item.content):
        if part.type not in TEXT_PARTS:
            raise not_text(part.type, f"input[{number}].content[{place}]")
    text = "".join(part.text or part.refusal for part in item.content)
    return past_answer(text) if item.role == "assistant" else text


def _referred(item_id: str, number: int, recalled: Recalled) -> str:
    """Return an earlier answer by its id; thoughts and searches are not needed again. Raises BadRequest."""
    if not item_id.startswith(MESSAGE_ID):
        return ""
    text = recalled(item_id)
    if text is None:
        message = f"input[{number}]: {item_id!r} is not remembered any more; send the message itself (store: false)."
        raise BadRequest(message, f"input[{number}]", "item_not_found")
    return past_answer(text)
