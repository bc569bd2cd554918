"""POST /v1/search, the reading without the reasoning: its request and its reply. Pure."""

from typing import Annotated

from pydantic import Field

from agent.errors import BadRequest
from agent.settings import MAX_PAGES
from agent.types import Message, Question, Reading, Source, Timings
from agent.wire.coverage_record import coverage_body
from agent.wire.fields import WORDED, check_length, has_word
from agent.wire.filters import FilterFields
from agent.wire.sse import Json

MAX_QUERY_CHARS = 2_000
MAX_QUERIES = 10
MAX_CONTEXT_CHARS = 200_000
DEFAULT_CONTEXT_CHARS = 12_000
QUERY = {**WORDED, "maxLength": MAX_QUERY_CHARS}


class SearchRequest(FilterFields):
    """A question to read the web for."""

    query: str = Field(examples=["copy a directory tree in Python"], json_schema_extra=QUERY)
    max_chars: int = Field(
        default=DEFAULT_CONTEXT_CHARS, ge=100, le=MAX_CONTEXT_CHARS, description="length of `context`"
    )
    pages: int | None = Field(default=None, ge=1, le=MAX_PAGES, description="how many pages to read")
    queries: list[Annotated[str, Field(json_schema_extra=QUERY)]] = Field(
        default=[], min_length=1, max_length=MAX_QUERIES, description="search exactly these, and nothing else"
    )
    language: str | None = Field(
        default=None, pattern="^[a-z]{2}$", description="two letters; unset: that of the query"
    )


def search_question(request: SearchRequest) -> Question:
    """Turn a search request into a Question. Raises BadRequest."""
    _check(request.query, "query")
    for number, query in enumerate(request.queries):
        _check(query, f"queries[{number}]")
    asked = (Message("user", request.query.strip()),)
    return Question(messages=asked, exact=bool(request.queries), filters=request.filters())


def _check(query: str, param: str) -> None:
    check_length(query, param, MAX_QUERY_CHARS)
    if not has_word(query):
        raise BadRequest(f"{param}: there is nothing to search for; write at least one word.", param)


def search_body(search_id: str, reading: Reading) -> Json:
    """Write the reply of a search; `results` are the sources of the context, in its order."""
    return {
        "id": search_id,
        "object": "search.result",
        "queries": [query.text for query in reading.plan.all_queries],
        "context": reading.context.text,
        "results": [_result(source) for source in reading.context.sources],
        "coverage": coverage_body(reading.coverage),
        "timings_ms": timings_body(reading.timings),
    }


def timings_body(timings: Timings) -> Json:
    """Write how long the stages of a reading took, in milliseconds."""
    return {
        "search": timings.search,
        "fetch": timings.fetch,
        "extract": timings.extract,
        "rank": timings.rank,
        "pack": timings.pack,
        "total": timings.total,
    }


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
