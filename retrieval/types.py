"""What travels between the stages of retrieval. Frozen values only; no dict crosses a stage.

Knows nothing of models, prompts or HTTP servers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

Recency = Literal["hour", "day", "week", "month", "year"]
EngineStatus = Literal["ok", "empty", "failed", "cooling"]
RECENCY_DAYS: Mapping[Recency, int] = {"hour": 1, "day": 1, "week": 7, "month": 31, "year": 366}


class SkipReason(StrEnum):
    """Why a page was not read. A closed set: clients and tests rely on it."""

    TIMEOUT = "timeout"
    BLOCKED_ADDRESS = "blocked_address"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"
    SERVER_ERROR = "server_error"
    NETWORK_ERROR = "network_error"
    TOO_LARGE = "too_large"
    WRONG_TYPE = "wrong_type"
    BAD_ENCODING = "bad_encoding"
    ROBOTS = "robots"
    EMPTY = "empty"
    DUPLICATE = "duplicate"
    PARSER_LIMIT = "parser_limit"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class SearchFilters:
    """What a result must satisfy besides the words. Dates are ISO (YYYY-MM-DD), inclusive.

    Pages on `preferred_domains` are read first. `country` is where the search is made from, two letters in lower case;
    None: where the language is spoken.
    """

    domains: tuple[str, ...] = ()
    excluded_domains: tuple[str, ...] = ()
    recency: Recency | None = None
    after: str | None = None
    before: str | None = None
    preferred_domains: tuple[str, ...] = ()
    country: str | None = None

    def at(self, country: str) -> "SearchFilters":
        """Return the same filters for a search made from a country."""
        return replace(self, country=country)

    def first_day(self, today: date) -> str | None:
        """Return the earliest day that `after` and `recency` both allow, for engines that know days alone."""
        if self.recency is None:
            return self.after
        recent = (today - timedelta(days=RECENCY_DAYS[self.recency])).isoformat()
        return max(recent, self.after or recent)


@dataclass(frozen=True, slots=True)
class Query:
    """One thing to ask every engine. `language` is a two-letter code, or None for any."""

    text: str
    language: str | None = None
    filters: SearchFilters = field(default_factory=SearchFilters)


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result. `date` is ISO when the engine tells it."""

    url: str
    title: str
    snippet: str = ""
    date: str | None = None


class PartialPage(tuple[Hit, ...]):  # noqa: SLOT001  (a tuple takes no slots)
    """One result page that lacks something; `note` says what. Whoever does not ask for it sees plain hits."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What one engine did for a search: how many results it gave, or why it gave none.

    "cooling": it was not asked, because it failed lately. `error` tells how it failed, and of one that is "ok" what its
    results lack. An engine that was not needed has no report.
    """

    name: str
    status: EngineStatus
    results: int
    ms: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The bytes of one page, decoded from its transfer coding only. `url` is the final address after redirects.

    `headers` are those that say how long it may be kept (`retrieval.freshness`), names in lower case. `cached`: it was
    fetched for an earlier question, and the site was not asked again or said that it has not changed.
    """

    hit: Hit
    url: str
    content_type: str
    charset: str | None
    body: bytes
    ms: int
    headers: tuple[tuple[str, str], ...] = ()
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A page that was asked for and not read. `detail` is for the log, never for clients."""

    url: str
    reason: SkipReason
    detail: str = ""
    status: int | None = None
    ms: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """The cleaned text of one page. `site` is its host; `date` is ISO; `language` a two-letter code.

    `cached`: its page came from the cache. `also_at`: the other addresses at which the same text was found.
    `fresh_seconds`: how long its site lets it be used without being asked again; 0: not at all, though it may be kept;
    None: it may not be kept, or that is not known.
    """

    url: str
    title: str
    text: str
    site: str
    date: str | None = None
    language: str | None = None
    ms: int = 0
    bytes: int = 0
    cached: bool = False
    also_at: tuple[str, ...] = ()
    fresh_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: `document.text[start:end]`."""

    document: Document
    start: int
    end: int

    @property
    def text(self) -> str:
        """The very characters of the cleaned page."""
        return self.document.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage in order. `score` orders; `words` and `vectors` are its parts (None: not computed)."""

    passage: Passage
    score: float
    words: float
    vectors: float | None = None
