"""DuckDuckGo and other public engines through the `ddgs` package, which needs no key."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import anyio.to_thread
from ddgs.exceptions import DDGSException, RatelimitException

from retrieval.engines.ddgs_refusals import WatchedDDGS
from retrieval.engines.operators import with_sites
from retrieval.errors import EngineError, EngineRefused
from retrieval.types import Hit, PartialPage, Query

# ddgs asks for region and language as "country-language".
REGIONS = {
    "de": "de-de", "en": "us-en", "es": "es-es", "fr": "fr-fr", "it": "it-it", "ja": "jp-jp", "ko": "kr-kr",
    "nl": "nl-nl", "pl": "pl-pl", "pt": "br-pt", "ru": "ru-ru", "tr": "tr-tr", "uk": "ua-uk", "zh": "cn-zh",
}  # fmt: skip
TIME_LIMITS = {"hour": "d", "day": "d", "week": "w", "month": "m", "year": "y"}
RESULTS_PER_PAGE = 20
ADDRESS_QUERY = re.compile(r"\?[^\s)]*")
# How the package words that an engine took it for a robot, where it says so at all.
REFUSED = re.compile(r"\b(?:202|403|429)\b|rate ?limit|captcha", re.IGNORECASE)


class TextSearch(Protocol):
    """The part of `WatchedDDGS` that is used."""

    @property
    def refusals(self) -> Sequence[str]:
        """Who turned it away, and how."""
        ...

    def text(self, query: str, **kwargs: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (the package's own signature)
        """Return rows with "title", "href" and "body"."""
        ...


class DdgsEngine:
    """Searches through ddgs. `connect` makes a client per call: its clients are not safe to share among threads.

    `backend` is the engines that ddgs asks, comma-separated; "auto" is all it has, some at a time.
    """

    name = "ddgs"

    def __init__(
        self, timeout_seconds: float, connect: Callable[[int], TextSearch] = WatchedDDGS, backend: str = "auto"
    ) -> None:
        self._timeout = max(1, round(timeout_seconds))
        self._connect, self._backend = connect, backend

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        """Return one result page. Raises EngineError on rate limits, CAPTCHAs and network errors."""
        return await anyio.to_thread.run_sync(self._page, query, page, abandon_on_cancel=True)

    def _page(self, query: Query, page: int) -> tuple[Hit, ...]:
        client = self._connect(self._timeout)
        rows = self._rows(client, query, page)
        hits = tuple(
            Hit(str(row["href"]), str(row.get("title") or ""), str(row.get("body") or ""))
            for row in rows
            if row.get("href")
        )
        if not client.refusals:
            return hits
        if not hits and page == 1:
            raise EngineRefused(f"turned away: {_listed(client.refusals)}")
        partial = PartialPage(hits)
        partial.note = f"turned away: {_listed(client.refusals)}"
        return partial

    def _rows(self, client: TextSearch, query: Query, page: int) -> list[dict[str, Any]]:
        options: dict[str, Any] = {"page": page, "max_results": RESULTS_PER_PAGE, "backend": self._backend}
        options["region"] = _region(query)
        if query.filters.recency:
            options["timelimit"] = TIME_LIMITS[query.filters.recency]
        try:
            return client.text(with_sites(query.text, query.filters), **options)
        except DDGSException as error:
            # The package raises the same class for "nothing found" and for a failure; only the text tells.
            if "No results found" in str(error):
                return []
            raise _translated(error) from error


def _region(query: Query) -> str:
    region = REGIONS.get(query.language or "en", "us-en")
    return f"{query.filters.country}-{region.rpartition('-')[2]}" if query.filters.country else region


def _translated(error: DDGSException) -> EngineError:
    # Addresses in it carry the query, which stays out of logs.
    reason = f"{type(error).__name__}: {ADDRESS_QUERY.sub('', str(error))[:200]}"
    if isinstance(error, RatelimitException) or REFUSED.search(reason):
        return EngineRefused(reason)
    return EngineError(reason)


def _listed(refusals: Sequence[str]) -> str:
    return ", ".join(sorted(set(refusals)))
