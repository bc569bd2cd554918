"""A SearXNG (or searx) server as a search engine, over its JSON API.

The server must list `json` under `search.formats` and not limit API requests: both are off in its default settings.
"""

from typing import Any

import httpx2
from pydantic import BaseModel, Field

from retrieval.engines.ask_api import REFUSALS, ask_api
from retrieval.engines.operators import with_sites
from retrieval.errors import EngineRefused
from retrieval.types import Hit, PartialPage, Query

TIME_RANGES = {"hour": "day", "day": "day", "week": "week", "month": "month", "year": "year"}
REMEDIES = {
    **REFUSALS,
    403: "answered 403: allow the JSON format in its settings (search.formats: [html, json])",
    429: "answered 429: its limiter refuses us; set server.limiter to false for a private server",
}


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
        request = self._client.build_request("GET", self._url, params=_parameters(query, page))
        reply = await ask_api(self._client, request, _Reply, REMEDIES)
        hits = tuple(_hit(row, row.url) for row in reply.results if row.url)
        if not reply.unresponsive_engines:
            return hits
        unresponsive = _names(reply.unresponsive_engines)
        if not hits and page == 1:
            # It suspends such engines itself, for minutes.
            raise EngineRefused(f"every engine behind it is unresponsive: {unresponsive}")
        partial = PartialPage(hits)
        partial.note = f"unresponsive behind it: {unresponsive}"
        return partial


def _parameters(query: Query, page: int) -> dict[str, str]:
    filters = query.filters
    parameters = {"q": with_sites(query.text, filters), "format": "json", "pageno": str(page)}
    if query.language:
        country = query.filters.country
        parameters["language"] = f"{query.language}-{country.upper()}" if country else query.language
    if filters.recency:
        parameters["time_range"] = TIME_RANGES[filters.recency]
    return parameters


def _hit(row: _Result, url: str) -> Hit:
    return Hit(url, row.title or "", row.content or "", (row.published or "")[:10] or None)


def _names(unresponsive: list[Any]) -> str:
    """Name the engines and their errors; the entries are [name, error] pairs in every version seen."""
    rows = [row if isinstance(row, list) else [row] for row in unresponsive]
    return ", ".join(" ".join(str(cell) for cell in row)[:80] for row in rows[:8])
