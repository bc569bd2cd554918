"""The fields by which a request filters what is searched, and how they become filters. Pure."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from agent.errors import BadRequest
from agent.wire.fields import Body, listed
from retrieval.types import Recency, SearchFilters

MAX_DOMAINS = 20
# A host, or an address with its host.
DOMAIN = re.compile(r"\s*(?:https?://)?([^\s/@?#:-][^\s/@?#:]*)(?::[0-9]+)?(?:/\S*)?\s*", re.IGNORECASE)
DAY: Any = {"format": "date"}

Host = Annotated[str, Field(json_schema_extra={"pattern": f"^{DOMAIN.pattern}$"})]
Filtered = Annotated[str, Field(json_schema_extra={"pattern": rf"^\s*-?{DOMAIN.pattern}$"})]
Hosts = Annotated[list[Host], Field(max_length=MAX_DOMAINS)]
Hostnames = Annotated[Hosts, BeforeValidator(listed, json_schema_input_type=str | Hosts)]


class FilterFields(Body):
    """What results must satisfy, in Perplexity's names."""

    search_domain_filter: list[Filtered] = Field(
        default=[],
        max_length=MAX_DOMAINS,
        description="only these domains; with a minus before it, not this one",
        examples=[["example.org", "-ads.example.org"]],
    )
    search_recency_filter: Recency | None = Field(default=None, description="only pages this young")
    search_after_date_filter: str | None = Field(
        default=None,
        description="only pages from this day on, as 2026-01-31 or 01/31/2026",
        examples=["2026-01-31"],
        json_schema_extra=DAY,
    )
    search_before_date_filter: str | None = Field(
        default=None, description="only pages up to this day", examples=["2026-01-31"], json_schema_extra=DAY
    )

    def filters(self) -> SearchFilters:
        """Turn the fields into filters. Raises BadRequest."""
        after = _iso_date(self.search_after_date_filter, "search_after_date_filter")
        before = _iso_date(self.search_before_date_filter, "search_before_date_filter")
        wanted, excluded = _domains(self.search_domain_filter)
        return SearchFilters(wanted, excluded, self.search_recency_filter, after, before)


def _domains(entries: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part wanted domains from excluded ones, which begin with a minus."""
    excluded = [entry.strip().removeprefix("-") for entry in entries if entry.strip().startswith("-")]
    wanted = [entry for entry in entries if not entry.strip().startswith("-")]
    return hosts(wanted, "search_domain_filter"), hosts(excluded, "search_domain_filter")


def hosts(entries: Sequence[str], param: str) -> tuple[str, ...]:
    """Read the hosts in domains or addresses, `param` naming their field. Raises BadRequest."""
    return tuple(_host(entry, param) for entry in entries)


def _host(entry: str, param: str) -> str:
    found = DOMAIN.fullmatch(entry)
    if found is None:
        raise BadRequest(f"{param}: {entry[:100]!r} is no domain; write it as in 'example.org'.", param)
    return found[1].lower()


def _iso_date(text: str | None, param: str) -> str | None:
    """Read a date as Perplexity (%m/%d/%Y) or ISO writes it. Raises BadRequest."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%m/%d/%Y").date() if "/" in text else date.fromisoformat(text)
    except ValueError:
        message = f"{param}: write the date as 2026-01-31 or 01/31/2026."
        raise BadRequest(message, param) from None
    return day.isoformat()
