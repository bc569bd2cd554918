"""The Brave Web Search API, which needs a key."""

from datetime import UTC, date, datetime
from typing import Literal

import httpx2
from pydantic import BaseModel, Field, SecretStr

from retrieval.engines.ask_api import ask_api, given, key_refusals
from retrieval.engines.dates import iso_day
from retrieval.engines.operators import with_sites
from retrieval.engines.regions import country
from retrieval.types import Hit, Query, SearchFilters

SETTING = "WELLREAD_BRAVE_API_KEY"
URL = "https://api.search.brave.com/res/v1/web/search"
RESULTS_PER_PAGE = 20
RESULT_PAGES = 10
QUERY_CHARS = 400
QUERY_WORDS = 50
FRESHNESS = {"hour": "pd", "day": "pd", "week": "pw", "month": "pm", "year": "py"}
# Any other value is an error to it, so what it does not know is not sent.
LANGUAGES = {
    "ar": "ar", "bg": "bg", "bn": "bn", "ca": "ca", "cs": "cs", "da": "da", "de": "de", "en": "en", "es": "es",
    "et": "et", "eu": "eu", "fi": "fi", "fr": "fr", "gl": "gl", "gu": "gu", "he": "he", "hi": "hi", "hr": "hr",
    "hu": "hu", "is": "is", "it": "it", "kn": "kn", "ko": "ko", "lt": "lt", "lv": "lv", "ml": "ml", "mr": "mr",
    "ms": "ms", "nl": "nl", "pa": "pa", "pl": "pl", "ro": "ro", "ru": "ru", "sk": "sk", "sl": "sl", "sr": "sr",
    "sv": "sv", "ta": "ta", "te": "te", "th": "th", "tr": "tr", "uk": "uk", "vi": "vi", "ja": "jp", "nb": "nb",
    "no": "nb", "pt": "pt-br", "zh": "zh-hans",
}  # fmt: skip
COUNTRIES = {
    "ar", "at", "au", "be", "br", "ca", "ch", "cl", "cn", "de", "dk", "es", "fi", "fr", "gb", "hk", "id", "in", "it",
    "jp", "kr", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "sa", "se", "tr", "tw", "us", "za",
}  # fmt: skip
EVERYWHERE = "ALL"


class _Result(BaseModel):
    url: str | None = None
    title: str | None = None
    description: str | None = None
    page_age: str | None = None


class _Web(BaseModel):
    results: list[_Result]


class _Reply(BaseModel):
    type: Literal["search"]
    web: _Web = Field(default_factory=lambda: _Web(results=[]))


class BraveEngine:
    """Searches through Brave. `client` is shared and closed by its owner."""

    name = "brave"

    def __init__(self, key: SecretStr, client: httpx2.AsyncClient, url: str = URL) -> None:
        self._key, self._client, self._url = key, client, url

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page. Raises EngineError."""
        if page > RESULT_PAGES:
            return ()
        today = datetime.now(UTC).date()
        headers = {"X-Subscription-Token": self._key.get_secret_value(), "Accept": "application/json"}
        request = self._client.build_request("GET", self._url, params=_parameters(query, page, today), headers=headers)
        reply = await ask_api(self._client, request, _Reply, key_refusals(SETTING))
        return tuple(
            Hit(row.url, row.title or "", row.description or "", iso_day(row.page_age, today))
            for row in reply.web.results
            if row.url
        )


def _parameters(query: Query, page: int, today: date) -> dict[str, str | int]:
    home = country(query)
    return given(
        q=with_sites(query.text, query.filters, QUERY_CHARS, QUERY_WORDS),
        count=RESULTS_PER_PAGE,
        offset=page - 1,
        result_filter="web",
        text_decorations="false",
        search_lang=LANGUAGES.get(query.language or ""),
        # Without one it searches the United States.
        country=home.upper() if home in COUNTRIES else EVERYWHERE,
        freshness=_freshness(query.filters, today),
    )


def _freshness(filters: SearchFilters, today: date) -> str | None:
    if filters.recency and not (filters.after or filters.before):
        return FRESHNESS[filters.recency]
    first = filters.first_day(today)
    if not (first or filters.before):
        return None
    return f"{first or '1970-01-01'}to{filters.before or today.isoformat()}"
