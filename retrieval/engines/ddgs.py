"""DuckDuckGo and other public engines through the `ddgs` package, which needs no key."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import anyio.to_thread
from ddgs import DDGS
from ddgs.exceptions import DDGSException

from retrieval.errors import EngineError
from retrieval.types import Hit, Query

# ddgs asks for region and language as "country-language".
REGIONS = {
    "de": "de-de", "en": "us-en", "es": "es-es", "fr": "fr-fr", "it": "it-it", "ja": "jp-jp", "ko": "kr-kr",
    "nl": "nl-nl", "pl": "pl-pl", "pt": "br-pt", "ru": "ru-ru", "tr": "tr-tr", "uk": "ua-uk", "zh": "cn-zh",
}  # fmt: skip
TIME_LIMITS = {"hour": "d", "day": "d", "week": "w", "month": "m", "year": "y"}
RESULTS_PER_PAGE = 20
ADDRESS_QUERY = re.compile(r"\?[^\s)]*")


class TextSearch(Protocol):
    """The part of `ddgs.DDGS` that is used."""

    def text(self, query: str, **kwargs: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (the package's own signature)
        """Return rows with "title", "href" and "body"."""
        ...


class DdgsEngine:
    """Searches through ddgs. `connect` makes a client per call: its clients are not safe to share among threads."""

    name = "ddgs"

    def __init__(self, timeout_seconds: float, connect: Callable[[int], TextSearch] | None = None) -> None:
        self._timeout = max(1, round(timeout_seconds))
        self._connect = connect or (lambda seconds: DDGS(timeout=seconds))

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page. Raises EngineError on rate limits, CAPTCHAs and network errors."""
        rows = await anyio.to_thread.run_sync(self._rows, query, page, abandon_on_cancel=True)
        return tuple(
            Hit(str(row["href"]), str(row.get("title") or ""), str(row.get("body") or ""))
            for row in rows
            if row.get("href")
        )

    def _rows(self, query: Query, page: int) -> list[dict[str, Any]]:
        options: dict[str, Any] = {"page": page, "max_results": RESULTS_PER_PAGE}
        options["region"] = REGIONS.get(query.language or "en", "us-en")
        if query.filters.recency:
            options["timelimit"] = TIME_LIMITS[query.filters.recency]
        try:
            return self._connect(self._timeout).text(_words(query), **options)
        except DDGSException as error:
            # The package raises the same class for "nothing found" and for a failure; only the text tells.
            if "No results found" in str(error):
                return []
            # Addresses in it carry the query, which stays out of logs.
            reason = ADDRESS_QUERY.sub("", str(error))[:200]
            raise EngineError(f"{type(error).__name__}: {reason}") from error


def _words(query: Query) -> str:
    filters = query.filters
    parts = [query.text, *(f"-site:{domain}" for domain in filters.excluded_domains)]
    if filters.domains:
        parts.append(" OR ".join(f"site:{domain}" for domain in filters.domains))
    return " ".join(parts)
