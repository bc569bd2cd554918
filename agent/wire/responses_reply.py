"""The replies of POST /v1/responses: events -> its named events, or one response object. Pure.

Reasoning is told as its summary, the one form that all clients show. A search is an item of its own; what is read for
it is told as reasoning, so that nothing times out meanwhile.
"""

import uuid
from dataclasses import dataclass, field

from agent.errors import AgentError
from agent.types import Answer, Event, Progress, Text, Usage
from agent.wire.responses_request import MESSAGE_ID, ResponsesRequest, Tool
from agent.wire.search_options import SEARCH_TOOL
from agent.wire.sources import marks, sources
from agent.wire.sse import Json, sse

SOURCES = "web_search_call.action.sources"
COMMENT = b": keep-alive\n\n"


def response_object(request: ResponsesRequest, response_id: str, created: int) -> Json:
    """Write the response object as it is before any work: what was asked for, and what is so by default."""
    form: Json = {"type": request.text.format.type}
    if form["type"] == "json_schema":
        form |= {"name": request.text.format.name or "answer", "schema": request.text.format.schema_, "strict": True}
    choice = request.tool_choice if isinstance(request.tool_choice, str) else {"type": request.tool_choice.type}
    verbosity = {"verbosity": request.text.verbosity} if request.text.verbosity else {}
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": request.reasoning.effort, "summary": request.reasoning.summary},
        "store": False,
        "temperature": request.temperature,
        "text": {"format": form, **verbosity},
        "tool_choice": choice if choice in ("none", "auto", "required") else "auto",
        "tools": [_tool(tool) for tool in request.tools if tool.type.startswith(SEARCH_TOOL)],
        "top_p": request.top_p,
        "truncation": "disabled",
        "metadata": request.metadata,
    }


def response_usage(usage: Usage) -> Json:
    """Write the tokens of all model calls in this API's names."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def _tool(tool: Tool) -> Json:
    known = {"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"}
    told: Json = {"type": tool.type if tool.type in known else SEARCH_TOOL}
    if tool.search_context_size:
        told["search_context_size"] = tool.search_context_size
    place = tool.user_location.model_dump(exclude_none=True)
    return told | ({"user_location": {"type": "approximate", **place}} if place else {})


@dataclass(slots=True)
class _Open:
    """An item that is being written: its place in the output, and the text so far."""

    index: int
    item: Json
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseStream:
    """Writes a response as its named events; `response` is the object as far as it has come.

    `message_id` is the id that its answer gets. `with_sources`: searches list the addresses that they gave.
    """

    def __init__(self, response: Json, *, with_sources: bool = False) -> None:
        self.response = response
        self.message_id = f"{MESSAGE_ID}{uuid.uuid4().hex}"
        self._with_sources = with_sources
        self._number = 0
        self._search: _Open | None = None
        self._thought: _Open | None = None
        self._message: _Open | None = None

    def opening(self) -> bytes:
        """Write what opens the stream, before any work."""
        return self._whole("response.created") + self._whole("response.in_progress")

    def keep_alive(self) -> bytes:
        """Write a comment: this API has no event that says nothing."""
        return COMMENT

    def event(self, event: Event) -> bytes:
        """Write what one event says."""
        match event:
            case Progress():
                return self._progress(event)
            case Text(text):
                return self._say(text) if text else b""
            case Answer():
                return self._end(event)
            case _:
                return self._think(event.text) if event.text else b""

    def ending(self, error: AgentError | None) -> bytes:
        """Write what ends the stream: for an error the response that failed, else nothing more."""
        if error is None:
            return b""
        self._keep_what_was_said()
        for item in self.response["output"]:
            if item.get("status") == "in_progress":
                item["status"] = "incomplete" if item["type"] == "message" else "failed"
        self.response |= {"status": "failed", "error": {"code": "server_error", "message": str(error)}}
        return self._whole("response.failed")

    def _keep_what_was_said(self) -> None:
        """Put into items that were not finished what was told of them."""
        if self._thought:
            self._thought.item["summary"] = [{"type": "summary_text", "text": self._thought.text}]
        if self._message and self._message.pieces:
            part = {"type": "output_text", "text": self._message.text, "annotations": [], "logprobs": []}
            self._message.item["content"] = [part]

    def _progress(self, event: Progress) -> bytes:
        if event.searching:
            return self._close_search() + self._close_thought() + self._open_search(event.searching)
        closed = self._close_search(event.found) if event.found or self._search else b""
        return closed + (self._think(event.text) if event.text else b"")

    def _open_search(self, queries: tuple[str, ...]) -> bytes:
        action: Json = {"type": "search", "query": queries[0], "queries": list(queries)}
        item = {"id": f"ws_{uuid.uuid4().hex}", "type": "web_search_call", "status": "in_progress", "action": action}
        self._search = self._open(item)
        steps = (f"response.web_search_call.{step}" for step in ("in_progress", "searching"))
        return self._added(self._search) + b"".join(self._of(self._search, step) for step in steps)

    def _close_search(self, found: tuple[str, ...] = ()) -> bytes:
        search, self._search = self._search, None
        if search is None:
            return b""
        search.item["status"] = "completed"
        if self._with_sources:
            search.item["action"]["sources"] = [{"type": "url", "url": url} for url in found]
        return self._of(search, "response.web_search_call.completed") + self._done(search)

    def _think(self, text: str) -> bytes:
        written = self._close_search()
        if self._thought is None:
            self._thought = self._open({"id": f"rs_{uuid.uuid4().hex}", "type": "reasoning", "summary": []})
            part = {"type": "summary_text", "text": ""}
            written += self._added(self._thought)
            written += self._of(self._thought, "response.reasoning_summary_part.added", summary_index=0, part=part)
        self._thought.pieces.append(text)
        kind = "response.reasoning_summary_text.delta"
        return written + self._of(self._thought, kind, summary_index=0, delta=text)

    def _close_thought(self) -> bytes:
        thought, self._thought = self._thought, None
        if thought is None:
            return b""
        part = {"type": "summary_text", "text": thought.text}
        thought.item["summary"] = [part]
        written = self._of(thought, "response.reasoning_summary_text.done", summary_index=0, text=thought.text)
        written += self._of(thought, "response.reasoning_summary_part.done", summary_index=0, part=part)
        return written + self._done(thought)

    def _say(self, text: str) -> bytes:
        written = self._begin_message({"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        assert self._message is not None
        self._message.pieces.append(text)
        kind = "response.output_text.delta"
        return written + self._of(self._message, kind, content_index=0, delta=text, logprobs=[])

    def _begin_message(self, part: Json) -> bytes:
        written = self._close_search() + self._close_thought()
        if self._message is None:
            item = {"id": self.message_id, "type": "message", "status": "in_progress", "role": "assistant"}
            self._message = self._open(item | {"content": []})
            written += self._added(self._message)
            written += self._of(self._message, "response.content_part.added", content_index=0, part=part)
        return written

    def _end(self, answer: Answer) -> bytes:
        """Write the end of the answer and of the response."""
        written = self._end_refusal(answer.refusal) if answer.refusal else self._end_text(answer)
        complete = answer.finish_reason == "stop"
        status = "completed" if complete else "incomplete"
        assert self._message is not None
        self._message.item["status"] = status
        written += self._done(self._message)
        self.response |= {"status": status, "usage": response_usage(answer.usage), **sources(answer)}
        if not complete:
            self.response["incomplete_details"] = {"reason": "max_output_tokens"}
        return written + self._whole(f"response.{status}")

    def _end_text(self, answer: Answer) -> bytes:
        part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        written = self._begin_message(part)
        message = self._message
        assert message is not None
        annotations = [{"type": "url_citation", **mark} for mark in marks(answer)]
        for place, annotation in enumerate(annotations):
            kind = "response.output_text.annotation.added"
            written += self._of(message, kind, content_index=0, annotation_index=place, annotation=annotation)
        part |= {"text": message.text, "annotations": annotations}
        written += self._of(message, "response.output_text.done", content_index=0, text=message.text, logprobs=[])
        return written + self._end_part(message, part)

    def _end_refusal(self, refusal: str) -> bytes:
        written = self._begin_message({"type": "refusal", "refusal": ""})
        message = self._message
        assert message is not None
        written += self._of(message, "response.refusal.delta", content_index=0, delta=refusal)
        written += self._of(message, "response.refusal.done", content_index=0, refusal=refusal)
        return written + self._end_part(message, {"type": "refusal", "refusal": refusal})

    def _end_part(self, message: _Open, part: Json) -> bytes:
        message.item["content"] = [part]
        return self._of(message, "response.content_part.done", content_index=0, part=part)

    def _open(self, item: Json) -> _Open:
        self.response["output"].append(item)
        return _Open(len(self.response["output"]) - 1, item)

    def _added(self, opened: _Open) -> bytes:
        return self._event("response.output_item.added", {"output_index": opened.index, "item": opened.item})

    def _done(self, opened: _Open) -> bytes:
        return self._event("response.output_item.done", {"output_index": opened.index, "item": opened.item})

    def _of(self, opened: _Open, kind: str, **fields: object) -> bytes:
        return self._event(kind, {"item_id": opened.item["id"], "output_index": opened.index, **fields})

    def _whole(self, kind: str) -> bytes:
        return self._event(kind, {"response": self.response})

    def _event(self, kind: str, fields: Json) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse({"type": kind, "sequence_number": number, **fields}, kind)
