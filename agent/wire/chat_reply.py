"""The replies of POST /v1/chat/completions: events -> chunks of a stream, or one body. Pure.

Each rule here was found by trying real clients: role only in the first delta; reasoning under both of its names or
under neither, and never together with content; annotations only in the chunk that ends the answer; no key `error`
in a good chunk; no SSE field but `data`.
"""

from dataclasses import dataclass

from agent.errors import AgentError
from agent.types import Answer, Event, Progress, Text, Thinking
from agent.wire.refusals import error_body
from agent.wire.sources import annotation_list, sources, usage_body
from agent.wire.sse import BLANK, DONE, Json, Pattern, sse
from agent.wire.watching import watch_body


@dataclass(frozen=True, slots=True)
class Head:
    """What all chunks and the body of one completion share. `created` is in Unix seconds.

    `tiered`: the client asked for a service tier, and is told the one it got.
    """

    id: str
    created: int
    model: str
    fingerprint: str
    tiered: bool = False


@dataclass(frozen=True, slots=True)
class Chunks:
    """Writes the chunks of one streamed completion."""

    head: Head
    include_usage: bool = False
    show_reasoning: bool = True

    def opening(self) -> Json:
        """Write the chunk that opens the stream, the only one with a role."""
        return self._chunk({"role": "assistant", "content": ""})

    def keep_alive(self) -> Json:
        """Write a chunk that says nothing: clients time the gap between chunks, not between bytes."""
        return self._chunk({})

    def status(self, description: str, *, done: bool) -> Json:
        """Write a chunk that says nothing but to Open WebUI, which shows it as a line of status."""
        data = {"description": description, "done": done}
        return self._chunk({}) | {"event": {"type": "status", "data": data}}

    def step(self, progress: Progress) -> Json:
        """Write a chunk that says nothing but to those who watch."""
        return self._chunk({}) | {"wellread": watch_body(progress)}

    def event(self, event: Event) -> list[Json]:
        """Write what one event says; nothing for one that says nothing or is hidden."""
        if isinstance(event, Answer):
            return self._ending(event)
        if not event.text:
            return []
        if isinstance(event, Text):
            return [self._chunk({"content": event.text})]
        return [self._chunk(_reasoning(event.text))] if self.show_reasoning else []

    def _ending(self, answer: Answer) -> list[Json]:
        annotations = annotation_list(answer)
        refused = [self._chunk({"refusal": answer.refusal})] if answer.refusal else []
        delta: Json = {"annotations": annotations} if annotations else {}
        last = [*refused, self._chunk(delta, answer.finish_reason) | sources(answer)]
        if self.include_usage:
            last.append(self._object() | {"choices": [], "usage": usage_body(answer.usage)})
        return last

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage: Json = {"usage": None} if self.include_usage else {}
        return self._object() | {"choices": [choice]} | usage

    def _object(self) -> Json:
        return _head(self.head, "chat.completion.chunk")


class ChatStream:
    """Writes a streamed completion as bytes.

    `status`: progress is told in Open WebUI's way, and not as reasoning. `watched`: every step and page is told to
    those who watch (`agent.wire.watching`), and not as reasoning.
    """

    def __init__(self, chunks: Chunks, *, status: bool = False, watched: bool = False) -> None:
        self._chunks = chunks
        self._status, self._watched = status, watched
        self._doing = ""
        tokens = (Text(BLANK), Thinking(BLANK))
        self._patterns = {type(token): Pattern(chunk) for token in tokens for chunk in chunks.event(token)}

    def opening(self) -> bytes:
        """Write what opens the stream, before any work."""
        return sse(self._chunks.opening())

    def keep_alive(self) -> bytes:
        """Write what fills a silence."""
        return sse(self._chunks.keep_alive())

    def event(self, event: Event) -> bytes:
        """Write what one event says."""
        if isinstance(event, Text | Thinking) and event.text and not self._doing and type(event) in self._patterns:
            return self._patterns[type(event)].event(event.text)
        return b"".join(map(sse, self._told(event)))

    def ending(self, error: AgentError | None) -> bytes:
        """Write what ends the stream: for an error an event of its own, since the status went out long ago."""
        return (sse(error_body(error)) if error else b"") + DONE

    def _told(self, event: Event) -> list[Json]:
        if self._watched and isinstance(event, Progress):
            return [self._chunks.step(event)]
        if not self._status or (isinstance(event, Progress) and not event.text):
            return self._chunks.event(event)
        if isinstance(event, Progress):
            self._doing = event.text.strip()
            return [self._chunks.status(self._doing, done=False)]
        doing, self._doing = self._doing, ""
        done = [self._chunks.status(doing, done=True)] if doing else []
        return done + self._chunks.event(event)


def completion_body(head: Head, answer: Answer, *, show_reasoning: bool = True) -> Json:
    """Write a whole completion as one body."""
    message: Json = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    if show_reasoning and answer.reasoning:
        message |= _reasoning(answer.reasoning)
    message["annotations"] = annotation_list(answer)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    body = _head(head, "chat.completion") | {"choices": [choice], "usage": usage_body(answer.usage)}
    return body | sources(answer)


def _head(head: Head, kind: str) -> Json:
    common = {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "system_fingerprint": head.fingerprint,
    }
    return common | ({"service_tier": "default"} if head.tiered else {})


def _reasoning(text: str) -> Json:
    return {"reasoning_content": text, "reasoning": text}
