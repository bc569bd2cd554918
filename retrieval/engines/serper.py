"""Google's results through the Serper API, which needs a key."""

from datetime import UTC, date, datetime
from typing import Any

import httpx2
from pydantic import BaseModel, SecretStr

from retrieval.engines.ask_api import ask_api, given, key_refusals
from retrieval.engines.dates import iso_day
from retrieval.engines.operators import with_sites
from retrieval.engines.regions import country
from retrieval.types import Hit, Query, SearchFilters

SETTING = "WELLREAD_SERPER_API_KEY"
URL = "https://google.serper.dev/search"
# More than ten cost a second credit.
RESULTS_PER_PAGE = 10
RECENT = {"hour": "qdr:h", "day": "qdr:d", "week": "qdr:w", "month": "qdr:m", "year": "qdr:y"}
# What Google calls them.
LANGUAGES = {"zh": "zh-cn", "pt": "pt-br", "he": "iw"}


class _Result(BaseModel):
    link: str | None = None
    title: str | None = None
    snippet: str | None = None
    date: str | None = None


class _Reply(BaseModel):
    organic: list[_Result]


class SerperEngine:
    """Searches through Serper. `client` is shared and closed by its owner."""

    name = "serper"

    def __init__(self, key: SecretStr, client: httpx2.AsyncClient, url: str = URL) -> None:
        self._key, self._client, self._url = key, client, url

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page. Raises EngineError."""
        headers = {"X-API-KEY": self._key.get_secret_value()}
        today = datetime.now(UTC).date()
        request = self._client.build_request("POST", self._url, json=_asked(query, page), headers=headers)
        reply = await ask_api(self._client, request, _Reply, key_refusals(SETTING))
        return tuple(
            Hit(row.link, row.title or "", row.snippet or "", iso_day(row.date, today))
            for row in reply.organic
            if row.link
        )


def _asked(query: Query, page: int) -> dict[str, Any]:
    return given(
        q=with_sites(query.text, query.filters),
        num=RESULTS_PER_PAGE,
        page=page,
        hl=LANGUAGES.get(query.language or "", query.language),
        gl=country(query),
        tbs=_time(query.filters),
    )


def _time(filters: SearchFilters) -> str | None:
    """Write a range of days, else a recency: it takes one of the two."""
    if filters.after or filters.before:
        parts = [("cd_min", filters.after), ("cd_max", filters.before)]
        return ",".join(["cdr:1", *(f"{name}:{_american(day)}" for name, day in parts if day)])
    return RECENT[filters.recency] if filters.recency else None


def _american(day: str) -> str:
    parsed = date.fromisoformat(day)
    return f"{parsed.month}/{parsed.day}/{parsed.year}"
