"""A SearXNG (or searx) server as a search engine, over its JSON API.

The server must list `json` under `search.formats` and not limit API requests: both are off in its default settings.
"""

import json
from typing import Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from retrieval.errors import EngineError
from retrieval.types import Hit, Query

TIME_RANGES = {"hour": "day", "day": "day", "week": "week", "month": "month", "year": "year"}


class _Result(BaseModel):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    published: str | None = Field(None, alias="publishedDate")


class _Reply(BaseModel):
    results: list[_Result]
    unresponsive_engines: list[Any] = Field(default_factory=list)


class SearxngEngine:
    """Searches through one SearXNG server. `client` is shared and closed by its owner."""

    name = "searxng"

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self._url = url.rstrip("/") + "/search"
        self._client = client

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page. Raises EngineError when the server, or every engine behind it, fails."""
        try:
            reply = await self._client.get(self._url, params=_parameters(query, page))
        except httpx2.HTTPError as error:
            raise EngineError(f"cannot be reached ({type(error).__name__})") from error
        if reply.status_code != 200:
            raise EngineError(_refusal(reply.status_code))
        return _hits(reply.content)


def _parameters(query: Query, page: int) -> dict[str, str]:
    filters = query.filters
    words = query.text + "".join(f" -site:{domain}" for domain in filters.excluded_domains)
    if filters.domains:
        words += " " + " OR ".join(f"site:{domain}" for domain in filters.domains)
    parameters = {"q": words, "format": "json", "pageno": str(page)}
    if query.language:
        parameters["language"] = query.language
    if filters.recency:
        parameters["time_range"] = TIME_RANGES[filters.recency]
    return parameters


def _refusal(status: int) -> str:
    if status == 403:
        return "answered 403: allow the JSON format in its settings (search.formats: [html, json])"
    if status == 429:
        return "answered 429: its limiter refuses us; set server.limiter to false for a private server"
    return f"answered {status}"


def _hits(body: bytes) -> tuple[Hit, ...]:
    try:
        reply = _Reply.model_validate(json.loads(body))
    except (ValueError, ValidationError) as error:
        raise EngineError("sent something that is not its JSON format") from error
    if not reply.results and reply.unresponsive_engines:
        raise EngineError("every engine behind it is unresponsive: " + _names(reply.unresponsive_engines))
    return tuple(
        Hit(row.url, row.title or "", row.content or "", (row.published or "")[:10] or None)
        for row in reply.results
        if row.url
    )


def _names(unresponsive: list[Any]) -> str:
    """Name the engines and their errors; the entries are [name, error] pairs in every version seen."""
    rows = [row if isinstance(row, list) else [row] for row in unresponsive]
    return ", ".join(" ".join(str(cell) for cell in row)[:80] for row in rows[:8])
