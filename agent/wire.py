"""The replies of the OpenAI shapes: events -> chunks of a stream or one body, a reading -> the reply of a search. Pure.

Each rule here was found by trying real clients: role only in the first delta; reasoning under both of its names or
under neither, and never together with content; annotations only in the chunk that ends the answer; no key `error`
in a good chunk; no SSE field but `data`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agent.errors import AgentError
from agent.types import Annotation, Answer, Cited, Coverage, Event, Reading, Source, Text, Usage

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
# JSON leaves these raw, and clients that read a stream by str.splitlines() would break a line at them.
LINE_BREAKS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Head:
    """What all chunks and the body of one completion share. `created` is in Unix seconds."""

    id: str
    created: int
    model: str
    fingerprint: str


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
        delta: Json = {"annotations": annotations} if annotations else {}
        last = [self._chunk(delta, answer.finish_reason) | sources(answer)]
        if self.include_usage:
            last.append(self._object() | {"choices": [], "usage": usage_body(answer.usage)})
        return last

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage: Json = {"usage": None} if self.include_usage else {}
        return self._object() | {"choices": [choice]} | usage

    def _object(self) -> Json:
        return _head(self.head, "chat.completion.chunk")


def completion_body(head: Head, answer: Answer, *, show_reasoning: bool = True) -> Json:
    """Write a whole completion as one body."""
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None}
    if show_reasoning and answer.reasoning:
        message |= _reasoning(answer.reasoning)
    message["annotations"] = annotation_list(answer)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    body = _head(head, "chat.completion") | {"choices": [choice], "usage": usage_body(answer.usage)}
    return body | sources(answer)


def search_body(search_id: str, reading: Reading) -> Json:
    """Write the reply of a search; `results` are the sources of the context, in its order."""
    return {
        "id": search_id,
        "object": "search.result",
        "queries": [query.text for query in reading.plan.all_queries],
        "context": reading.context.text,
        "results": [_result(source) for source in reading.context.sources],
        "coverage": coverage_body(reading.coverage),
        "timings_ms": {
            "search": reading.timings.search,
            "fetch": reading.timings.fetch,
            "extract": reading.timings.extract,
            "rank": reading.timings.rank,
            "pack": reading.timings.pack,
            "total": reading.timings.total,
        },
    }


def error_body(error: AgentError) -> Json:
    """Write an error in OpenAI's shape."""
    return {"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}}


def sse(data: Json) -> bytes:
    """Write one event of a stream."""
    return b"data: " + dump(data) + b"\n\n"


def dump(data: Json) -> bytes:
    """Write JSON on one line. Half characters, which no decoder takes, become question marks."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(LINE_BREAKS).encode("utf-8", "replace")


def sources(answer: Answer) -> Json:
    """Write the keys beside `choices` that tell of the search; none when nothing was searched."""
    if answer.coverage is None:
        return {}
    titles = unique_titles(answer.cited)
    return {
        "citations": [cited.url for cited in answer.cited],
        "search_results": [_search_result(cited, titles[cited.url]) for cited in answer.cited],
        "coverage": coverage_body(answer.coverage),
    }


def annotation_list(answer: Answer) -> list[Json]:
    """Write the citation marks; offsets count Unicode code points, the end is exclusive."""
    titles = unique_titles((*answer.cited, *answer.annotations))
    return [_annotation(mark, titles[mark.url]) for mark in answer.annotations]


def unique_titles(pages: Iterable[Cited | Annotation]) -> dict[str, str]:
    """Give every URL a title of its own: front ends number sources by distinct titles."""
    titles: dict[str, str] = {}
    taken: set[str] = set()
    for page in pages:
        if page.url not in titles:
            titles[page.url] = _free_title(page.title, page.url, taken)
            taken.add(titles[page.url])
    return titles


def usage_body(usage: Usage) -> Json:
    """Write the tokens of all model calls of a request."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def coverage_body(coverage: Coverage) -> Json:
    """Write the honest record; the same object wherever it appears."""
    return {
        "found": coverage.found,
        "asked": coverage.asked,
        "read": coverage.read,
        "cached": coverage.cached,
        "used": coverage.used,
        "cited": coverage.cited,
        "skipped": coverage.skipped,
        "pages": [
            {"url": p.url, "status": p.status, "reason": p.reason, "ms": p.ms, "bytes": p.bytes, "chars": p.chars}
            | ({"cached": True} if p.cached else {})
            for p in coverage.pages
        ],
        "engines": [
            {"name": e.name, "status": e.status, "results": e.results, "ms": e.ms}
            | ({"reason": e.error} if e.error else {})
            for e in coverage.engines
        ],
        "rounds": coverage.rounds,
        "deadline_hit": coverage.deadline_hit,
        "notes": list(coverage.notes),
    }


def coverage_line(coverage: Mapping[str, Any]) -> str:
    """Say the record in one line, for people."""
    line = f"{coverage['found']} found, {coverage['asked']} asked, {coverage['read']} read"
    line += f" ({coverage['cached']} from the cache)" if coverage.get("cached") else ""
    line += f", {coverage['used']} used, {coverage['cited']} cited"
    skipped = ", ".join(f"{count} {reason}" for reason, count in coverage["skipped"].items())
    return f"{line}; skipped: {skipped}" if skipped else line


def _head(head: Head, kind: str) -> Json:
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "system_fingerprint": head.fingerprint,
    }


def _reasoning(text: str) -> Json:
    return {"reasoning_content": text, "reasoning": text}


def _annotation(mark: Annotation, title: str) -> Json:
    citation = {"start_index": mark.start, "end_index": mark.end, "url": mark.url, "title": title}
    return {"type": "url_citation", "url_citation": citation}


def _search_result(cited: Cited, title: str) -> Json:
    result = {"title": title, "url": cited.url, "date": cited.date, "last_updated": None, "snippet": cited.snippet}
    return result | {"source": "web"}


def _free_title(title: str, url: str, taken: set[str]) -> str:
    host = _host(url)
    title = " ".join(title.split()) or host
    number = 1
    free = title
    while free in taken:
        number += 1
        free = f"{title} ({host})" if number == 2 else f"{title} ({host}, {number - 1})"
    return free


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _result(source: Source) -> Json:
    document = source.document
    passages = [
        {
            "text": ranked.passage.text,
            "score": float(ranked.score),
            "start": ranked.passage.start,
            "end": ranked.passage.end,
        }
        for ranked in source.passages
    ]
    return {
        "index": source.number,
        "url": document.url,
        "title": document.title,
        "date": document.date,
        "site": document.site,
        "language": document.language,
        "also_at": list(document.also_at),
        "score": float(max((ranked.score for ranked in source.passages), default=0.0)),
        "passages": passages,
    }
