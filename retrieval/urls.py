"""Makes URLs comparable: two addresses of one page become one. Pure."""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

# What analytics and mail tools append; it never selects the page.
TRACKING = re.compile(r"utm_\w+|gclid|fbclid|yclid|ysclid|msclkid|mc_[ce]id|igshid|_openstat|ref_src|spm")
# What a path or query may hold as it is; an encoded byte stays encoded.
SAFE = "%/:?@!$&'*+,;=~-._"
DEFAULT_PORTS = {"http": 80, "https": 443}


def canonical(url: str) -> str | None:
    """Return the comparable form of an http(s) URL, or None when it cannot be fetched at all.

    Lower-cases scheme and host, drops credentials, default ports, fragments and tracking parameters.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in DEFAULT_PORTS or not host or "\\" in parts.netloc:
        return None
    scheme = parts.scheme.lower()
    netloc = _bracketed(host) if port in (None, DEFAULT_PORTS[scheme]) else f"{_bracketed(host)}:{port}"
    return urlunsplit((scheme, netloc, parts.path or "/", _without_tracking(parts.query), ""))


def local_file(url: str) -> str | None:
    """Return a `file:` URL of this machine as it is, or None for any other URL. The fetcher of web pages takes none."""
    return url if url.startswith("file:///") else None


def key(url: str) -> str:
    """Return what two addresses of one page share: no scheme, no "www.", no trailing slash."""
    parts = urlsplit(url)
    return parts.netloc.removeprefix("www.") + parts.path.rstrip("/") + "?" + parts.query


def site(url: str) -> str:
    """Return the host of a URL as people write it, without "www."."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def origin(url: str) -> str:
    """Return scheme, host and port of a canonical URL, as in "https://a.example:8443"."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def within(url: str, domain: str) -> bool:
    """Tell whether a URL lies on a domain or below it."""
    host = site(url)
    domain = domain.lower().removeprefix("www.")
    return host == domain or host.endswith("." + domain)


def printable(url: str) -> str:
    """Return the URL as ASCII that is safe inside a Markdown link: parentheses, brackets and spaces are encoded."""
    parts = urlsplit(url)
    netloc = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    return urlunsplit(parts._replace(netloc=netloc, path=quote(parts.path, SAFE), query=quote(parts.query, SAFE)))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_tracking(query: str) -> str:
    if not query:
        return ""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not TRACKING.fullmatch(name.lower())]
    return query if len(kept) == len(pairs) else urlencode(kept)
