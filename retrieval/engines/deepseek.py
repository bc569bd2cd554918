"""DeepSeek's search API, which needs a key: up to fifty results at once, each with a summary; no further pages."""

from datetime import UTC, date, datetime

import httpx2
from pydantic import BaseModel, SecretStr

from retrieval.engines.ask_api import ask_api, bearer, key_refusals
from retrieval.engines.dates import iso_day
from retrieval.engines.operators import clipped, joined
from retrieval.types import Hit, Query

SETTING = "WELLREAD_DEEPSEEK_API_KEY"
URL = "https://api.deepseek.com/v1/tools/search"
RESULTS = 50
QUERY_CHARS = 128


class _Result(BaseModel):
    url: str | None = None
    title: str | None = None
    summary: str | None = None
    snippet: str | None = None
    rerank_score: float | None = None
    date: str | None = None


class _Reply(BaseModel):
    results: list[_Result]


class DeepSeekEngine:
    """Searches through DeepSeek. `client` is shared and closed by its owner."""

    name = "deepseek"

    def __init__(self, key: SecretStr, client: httpx2.AsyncClient, url: str = URL) -> None:
        self._key, self._client, self._url = key, client, url

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return the one result page there is, best score first. Raises EngineError."""
        if page > 1:
            return ()
        today = datetime.now(UTC).date()
        asked = {"query": _words(query, today), "count": RESULTS, "ori_question": clipped(query.text, QUERY_CHARS)}
        request = self._client.build_request("POST", self._url, json=asked, headers=bearer(self._key))
        reply = await ask_api(self._client, request, _Reply, key_refusals(SETTING))
        rows = sorted(reply.results, key=lambda row: -(row.rerank_score or 0.0))
        return tuple(
            Hit(row.url, row.title or "", row.summary or row.snippet or "", iso_day(row.date, today))
            for row in rows
            if row.url
        )


def _words(query: Query, today: date) -> str:
    """Write the filters as operators. Of several domains none is named: how it joins them is not known."""
    filters = query.filters
    first = filters.first_day(today)
    operators = [
        *(f"-site:{domain}" for domain in filters.excluded_domains),
        *(f"site:{domain}" for domain in filters.domains if len(filters.domains) == 1),
        *([f"lang:{query.language}"] if query.language else []),
        *([f"after:{first}"] if first else []),
        *([f"before:{filters.before}"] if filters.before else []),
    ]
    return joined(query.text, " ".join(operators), QUERY_CHARS)
