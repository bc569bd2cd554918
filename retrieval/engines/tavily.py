"""The Tavily search API, which needs a key. It has no further result pages and no languages, only countries."""

from datetime import UTC, date, datetime
from typing import Any

import httpx2
from pydantic import BaseModel, SecretStr

from retrieval.engines.ask_api import ask_api, bearer, given, key_refusals
from retrieval.engines.dates import iso_day
from retrieval.engines.operators import clipped
from retrieval.engines.regions import country
from retrieval.types import Hit, Query, SearchFilters

SETTING = "WELLREAD_TAVILY_API_KEY"
URL = "https://api.tavily.com/search"
RESULTS = 20
QUERY_CHARS = 400
TIME_RANGES = {"hour": "day", "day": "day", "week": "week", "month": "month", "year": "year"}
# It prefers pages of the country, by its English name. English and Spanish have many, so by language they get none.
MANY_COUNTRIES = frozenset({"en", "es"})
COUNTRIES = {
    "ar": "argentina", "at": "austria", "au": "australia", "be": "belgium", "bg": "bulgaria", "br": "brazil",
    "by": "belarus", "ca": "canada", "ch": "switzerland", "cl": "chile", "cn": "china", "cz": "czech republic",
    "de": "germany", "dk": "denmark", "es": "spain", "fi": "finland", "fr": "france", "gb": "united kingdom",
    "gr": "greece", "hu": "hungary", "id": "indonesia", "ie": "ireland", "il": "israel", "in": "india",
    "it": "italy", "jp": "japan", "kr": "south korea", "kz": "kazakhstan", "mx": "mexico", "nl": "netherlands",
    "no": "norway", "nz": "new zealand", "pl": "poland", "pt": "portugal", "ro": "romania", "ru": "russia",
    "se": "sweden", "th": "thailand", "tr": "turkey", "ua": "ukraine", "us": "united states", "vn": "vietnam",
    "za": "south africa",
}  # fmt: skip


class _Result(BaseModel):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    published_date: str | None = None


class _Reply(BaseModel):
    results: list[_Result]


class TavilyEngine:
    """Searches through Tavily. `client` is shared and closed by its owner."""

    name = "tavily"

    def __init__(self, key: SecretStr, client: httpx2.AsyncClient, url: str = URL) -> None:
        self._key, self._client, self._url = key, client, url

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return the one result page there is. Raises EngineError."""
        if page > 1:
            return ()
        today = datetime.now(UTC).date()
        request = self._client.build_request("POST", self._url, json=_asked(query, today), headers=bearer(self._key))
        reply = await ask_api(self._client, request, _Reply, key_refusals(SETTING))
        return tuple(
            Hit(row.url, row.title or "", row.content or "", iso_day(row.published_date, today))
            for row in reply.results
            if row.url
        )


def _asked(query: Query, today: date) -> dict[str, Any]:
    filters = query.filters
    return given(
        query=clipped(query.text, QUERY_CHARS),
        max_results=RESULTS,
        search_depth="basic",
        country=COUNTRIES.get(_home(query) or ""),
        include_domains=list(filters.domains),
        exclude_domains=list(filters.excluded_domains),
        **_time(filters, today),
    )


def _home(query: Query) -> str | None:
    by_language = query.filters.country is None
    return None if by_language and query.language in MANY_COUNTRIES else country(query)


def _time(filters: SearchFilters, today: date) -> dict[str, Any]:
    """Write a range by name or by days: it takes one of the two."""
    if filters.recency and not (filters.after or filters.before):
        return {"time_range": TIME_RANGES[filters.recency]}
    return {"start_date": filters.first_day(today), "end_date": filters.before}
