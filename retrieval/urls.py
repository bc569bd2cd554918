"""Makes URLs comparable: two addresses of one page become one. Pure.

`canonical` is an address to fetch: it only drops what servers ignore. `key` is for comparing alone: mobile, AMP and
desktop addresses of one page share it, and nothing is ever fetched from it.
"""

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

# What analytics, advertisers and mail tools append; it never selects the page. The Russian ones: yclid, ysclid, ymclid,
# yadclid, _openstat, etext, erid, roistat, calltouch, admitad, frommail.
TRACKING = re.compile(
    r"utm_\w+|at_(?:campaign|medium|custom\d)|hsa_\w+|_hs(?:enc|mi)|hsctatracking|mkt_tok|mc_[ce]id|oly_(?:anon|enc)_id"
    r"|vero_(?:id|conv)|gclid|gclsrc|gbraid|wbraid|dclid|srsltid|_ga|_gac|_gl|fbclid|fb_(?:action_ids|action_types|source)"
    r"|igsh|igshid|msclkid|twclid|ttclid|li_fat_id|rb_clickid|s_cid|wickedid|ref_src|ref_url|spm|trk|cmpid"
    r"|usqp|amp_(?:gsa|js_v|r|tf|ct)|yclid|ysclid|ymclid|yadclid|_openstat|etext|erid|roistat\w*|calltouch_\w+|admitad_uid|frommail"
)
# What a path or query may hold as it is; an encoded byte stays encoded.
SAFE = "%/:?@!$&'*+,;=~-._"
DEFAULT_PORTS = {"http": 80, "https": 443}
# Prefixes of hosts that show the same pages as the host without them, where a domain is left.
ALTERNATE_HOST = re.compile(r"\A(?:(?:www\d?|m|mobile|amp|wap|touch)\.)+(?=[^.]+\.[^.\d])")
# en.m.wikipedia.org
ALTERNATE_LABEL = re.compile(r"(?<=\w)\.(?:m|mobile|amp)(?=\.[^.]+\.[^.\d])")
AMP_PATH = re.compile(r"(?:^/amp(?=/.)|/amp/?$|\.amp(?=\.html?$)|\.amp$)", re.IGNORECASE)
AMP_PARAMETER = re.compile(r"amp(?:=1|=true)?|outputtype=amp", re.IGNORECASE)
INDEX_PAGE = re.compile(r"/index\.html?$", re.IGNORECASE)
# Caches that show a page of another host, whose address stands in the path: Google's AMP viewer and cache, and
# Yandex Turbo.
CACHES = (
    (re.compile(r"(?:www\.)?google\.[a-z.]{2,6}"), re.compile(r"/amp/(s/)?([^/]+\.[^/]+)(/.*)?")),
    (re.compile(r"[a-z0-9-]+\.cdn\.ampproject\.org"), re.compile(r"/(?:c|v|wp)/(s/)?([^/]+\.[^/]+)(/.*)?")),
    (re.compile(r"(?:[a-z0-9-]+\.)?turbopages\.org"), re.compile(r"/(?:turbo/)?()([^/]+\.[^/]+)/s(/.*)?")),
)
ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

PORT = re.compile(r":[0-9]+\Z")
# What no host has (WHATWG URL, forbidden domain code points), and what would end a link in Markdown or HTML.
NOT_IN_HOST = re.compile(r"""[\s\x00-\x20\x7f#/<>?@\[\\\]^|%(){}"'`]""")

# A question meets some hundreds of addresses, each a dozen times: in every list of results that it is fused from.
REMEMBERED = 4_000


@lru_cache(REMEMBERED)
def canonical(url: str) -> str | None:
    """Return an address of the same page in one form, or None when it cannot be fetched at all.

    Lower-cases scheme and host, drops credentials, default ports, fragments and tracking parameters, and takes the page
    out of the caches that show pages of others.
    """
    try:
        url.encode()  # half a character, as JSON may hold it, is in no address
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    # As names are resolved: some characters stand for several, of which one may end a host.
    host = (host or "").rstrip(".。．｡")
    resolved = unicodedata.normalize("NFKC", host)
    if (
        parts.scheme.lower() not in DEFAULT_PORTS
        or not host
        or "\\" in parts.netloc
        or NOT_IN_HOST.search(resolved)
        or (":" not in host and "[" in parts.netloc)
    ):
        return None
    scheme = parts.scheme.lower()
    netloc = _bracketed(host) if port in (None, DEFAULT_PORTS[scheme]) else f"{_bracketed(host)}:{port}"
    # Space at the end of an address is none of it, wherever the end comes to be.
    query = _without_tracking(parts.query).rstrip()
    path = parts.path if query else parts.path.rstrip()
    return _out_of_cache(netloc, path, query) or urlunsplit((scheme, netloc, path or "/", query, ""))


def local_file(url: str) -> str | None:
    """Return a `file:` URL of this machine as it is, or None for any other URL. The fetcher of web pages takes none."""
    return url if url.startswith("file:///") else None


@lru_cache(REMEMBERED)
def key(url: str) -> str:
    """Return what the addresses of one page share, given a canonical one.

    No scheme, no mobile or AMP marks, no trailing slash or index page; one encoding; parameters in one order.
    """
    parts = urlsplit(url)
    path = INDEX_PAGE.sub("", AMP_PATH.sub("", parts.path)).rstrip("/")
    kept = sorted(_encoded(pair) for pair in parts.query.split("&") if pair and not AMP_PARAMETER.fullmatch(pair))
    return host_key(url) + _encoded(path) + "?" + "&".join(kept)


def host_key(url: str) -> str:
    """Return what the addresses of one site share: its host, and its port where it is an unusual one."""
    netloc = urlsplit(url).netloc.lower()
    if not netloc.isascii():
        netloc = _ascii_host(netloc)
    return ALTERNATE_LABEL.sub("", ALTERNATE_HOST.sub("", netloc), count=1)


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
    netloc = parts.netloc if parts.netloc.isascii() else _ascii_netloc(parts.netloc)
    return urlunsplit(parts._replace(netloc=netloc, path=quote(parts.path, SAFE), query=quote(parts.query, SAFE)))


def _ascii_netloc(netloc: str) -> str:
    """Encode the host alone, not its port; one that the codec refuses (it is of 2003) is percent-encoded."""
    host = PORT.sub("", netloc)
    port = netloc.removeprefix(host)
    encoded = _ascii_host(host)
    return (encoded if encoded.isascii() else quote(host)) + port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _ascii_host(netloc: str) -> str:
    try:
        return netloc.encode("idna").decode("ascii")
    except UnicodeError:
        # Not a name that could be resolved; it still has to be compared with itself.
        return netloc


def _without_tracking(query: str) -> str:
    """Drop parameters and leave the others byte for byte: some servers mind how they are encoded."""
    pairs = query.split("&")
    kept = [pair for pair in pairs if not TRACKING.fullmatch(unquote_plus(pair.partition("=")[0]).lower())]
    return query if len(kept) == len(pairs) else "&".join(kept)


def _out_of_cache(netloc: str, path: str, query: str) -> str | None:
    for host, cached in CACHES:
        # A cache of a cache is nothing that a cache writes; taking it apart could go on without end.
        if host.fullmatch(netloc) and (found := cached.fullmatch(path)) and not _is_cache(found[2]):
            scheme = "http" if found[1] is None else "https"
            return canonical(urlunsplit((scheme, found[2], found[3] or "/", query, "")))
    return None


def _is_cache(netloc: str) -> bool:
    name = netloc.rpartition("@")[2].partition(":")[0].lower().rstrip(".")
    return any(host.fullmatch(name) for host, _ in CACHES)


def _encoded(text: str) -> str:
    """Return one spelling of a percent-encoded text: what needs no encoding is decoded, the rest is in upper case."""
    return ENCODED.sub(_respelled, quote(text, SAFE + "()[]", errors="replace"))


def _respelled(found: re.Match[str]) -> str:
    byte = int(found[1], 16)
    return chr(byte) if byte in UNRESERVED else f"%{byte:02X}"
