"""Reads from a page's headers how long it may be kept, and how to ask its site whether it has changed (RFC 9111). Pure.

The server sends no cookies and no credentials: what it is sent, any of its users would be sent through it. `private`
keeps a page out of the cache all the same, since a cache may have many users; its cleaned text is known again only by
who holds the same bytes. `no-store` keeps out both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from retrieval.limits import CacheLimits

Headers = tuple[tuple[str, str], ...]

# The headers that this module reads.
NAMES = ("age", "cache-control", "date", "etag", "expires", "last-modified", "vary")
DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*("[^"]*"|[^\s,;]*))?')
SECONDS = re.compile(r"[0-9]{1,12}")
# What is sent back to a site must be what a header may hold.
ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,500}"')
DATE = re.compile(r"[\w ,:+-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a page may be kept. `fresh_seconds`: how long it is used unasked; None: it is not kept, only its text may be.

    `keep_seconds`: how long it is worth keeping; longer where the site can tell whether it has changed.
    """

    fresh_seconds: float | None
    keep_seconds: float = 0.0
    text: bool = True


def terms(headers: Headers, limits: CacheLimits) -> Terms:
    """Read the terms of a page. Never fails: what is no directive is passed over."""
    named = dict(headers)
    said = _directives(named.get("cache-control", ""))
    if "no-store" in said:
        return Terms(None, text=False)
    if "private" in said or named.get("vary", "").strip() == "*":
        return Terms(None)
    fresh = _fresh_seconds(named, said, limits)
    return Terms(fresh, fresh + limits.page_stale_seconds if conditions(headers) else fresh)


def unasked_seconds(headers: Headers, limits: CacheLimits) -> float | None:
    """Return how long what was read of a page may be used unasked, also when its site is down, in seconds.

    0: the site wants to be asked each time; None: nothing of it may be kept.
    """
    fresh = terms(headers, limits).fresh_seconds
    if fresh is None:
        return None
    said = _directives(dict(headers).get("cache-control", ""))
    return 0.0 if said.keys() & {"no-cache", "must-revalidate", "proxy-revalidate"} else fresh


def conditions(headers: Headers) -> dict[str, str]:
    """Return the headers that ask for a page only if it has changed; {} where the site gave nothing to ask with."""
    named = dict(headers)
    asked = {}
    if ETAG.fullmatch(named.get("etag", "")):
        asked["If-None-Match"] = named["etag"]
    if DATE.fullmatch(named.get("last-modified", "")):
        asked["If-Modified-Since"] = named["last-modified"]
    return asked


def renewed(old: Headers, new: Headers) -> Headers:
    """Return the headers of a page after its site said that it has not changed: the new ones count."""
    # Without the old age and date: they were those of the old reply.
    kept = {name: value for name, value in old if name not in {"age", "date"}}
    return tuple(sorted((kept | dict(new)).items()))


def _fresh_seconds(named: Mapping[str, str], said: Mapping[str, str], limits: CacheLimits) -> float:
    if "no-cache" in said:
        return 0.0
    lifetime = _lifetime(named, said)
    if lifetime is None:
        return limits.page_unsaid_seconds
    insists = "must-revalidate" in said or "proxy-revalidate" in said
    # Else a page of the news could not be read for two questions in a row without being fetched for each.
    least = 0.0 if insists else limits.page_least_seconds
    return min(max(lifetime - (_seconds(named.get("age")) or 0.0), least), limits.page_most_seconds)


def _lifetime(named: Mapping[str, str], said: Mapping[str, str]) -> float | None:
    """Return how many seconds after it was made a page may be used, as far as its site says."""
    for name in ("s-maxage", "max-age"):
        if name in said:
            return _seconds(said[name]) or 0.0
    if "expires" not in named:
        return None
    expires, made = _moment(named["expires"]), _moment(named.get("date", ""))
    return max(expires - made, 0.0) if expires is not None and made is not None else 0.0


def _directives(text: str) -> dict[str, str]:
    return {name.lower(): value.strip('"') for name, value in DIRECTIVE.findall(text)}


def _seconds(text: str | None) -> float | None:
    return float(text) if text and SECONDS.fullmatch(text) else None


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
