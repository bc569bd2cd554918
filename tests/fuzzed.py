"""Fuzzes one part that reads what strangers wrote, guided by the branches that its code takes.

    python -m tests.fuzzed {cleaner|thinking|citations|urls|guard} [--seconds 60]

Each part is a Hypothesis property, whose draws atheris (libFuzzer) makes: it keeps those that reach new code, and
changes them further. An exception, an input that takes over `HANG_SECONDS` or over `MEMORY_MB` ends the run with an
exit code that is not 0; what was drawn is printed as Python that repeats it.
"""

import argparse
import functools
import ipaddress
import re
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import urlsplit

import anyio
import atheris
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

with atheris.instrument_imports(include=["agent", "retrieval"]):
    from agent.cite import CitationReader
    from agent.links import LinkReader
    from agent.thinking import ThinkingSplitter
    from agent.types import Source, Text, Thinking
    from retrieval import decode, guard, main_text, urls  # noqa: F401  (the cleaner imports two of them when it needs them)
    from retrieval.extract import INVISIBLE, clean
    from retrieval.limits import ExtractLimits
    from retrieval.types import Document, Hit, Page, Passage, Ranked

HANG_SECONDS = 20
MEMORY_MB = 2_000
MAX_INPUT_BYTES = 8_192
QUIET = settings(
    database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True
)
CUTS = st.lists(st.integers(0, 2_000), max_size=8)


def told(check: Callable[..., None]) -> Callable[..., None]:
    """Print what was drawn where it ends in an error."""

    @functools.wraps(check)
    def checked(**drawn: object) -> None:
        try:
            check(**drawn)
        except Exception:
            print(f"{check.__name__}(**{drawn!r})", file=sys.stderr)
            raise

    return checked


def cut(text: str, cuts: list[int]) -> list[str]:
    """Cut a text at places taken modulo its length."""
    places = [0, *sorted(place % (len(text) + 1) for place in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


# ---- the cleaner

TAGS = (
    *("html", "head", "body", "title", "meta", "style", "script", "div", "p", "a", "span", "h1", "h2", "table", "tr"),
    *("td", "th", "ul", "ol", "li", "pre", "code", "br", "img", "svg", "math", "template", "noscript", "iframe"),
    *("article", "nav", "form", "input", "b", "i", "sup", "frameset", "base", "link"),
)
ATTRIBUTES = st.sampled_from(
    ["", " style='display:none'", " hidden", " class=a", " id='b'", " aria-hidden=true",
     " style=\"position:absolute;left:-9999px\"",
     " charset=utf-16", " content='text/html;charset=koi8-r' http-equiv=content-type", " property='og:title' content=x",
     " property='article:published_time' content='2024-13-45T99:99'", " datetime='0000-00-00'", " href='//[::'",
     " style='color:#fff;font-size:0",
     " colspan=99999999999", " rowspan=-1", " =", " \"", " a='", " style='width:calc(1px*(2+", " content='12/31/9999'"]
)  # fmt: skip
MARKUP = st.one_of(
    st.tuples(st.sampled_from(TAGS), ATTRIBUTES).map(lambda tag: f"<{tag[0]}{tag[1]}>"),
    st.sampled_from(TAGS).map("</{}>".format),
    st.sampled_from(
        ["<!--", "-->", "<![CDATA[", "]]>", "<!DOCTYPE html>", "<?xml version='1.0' encoding='utf-16'?>", "&#0;",
         "&#x110000;", "&lt;",
         "&amp", "\x00", "\u200b", "\u202e", "\U000e0041", "\ufeff", "\r", ".a{display:none}", "@media print{", "}",
         "#b{left:-9999px",
         "A sentence of some length that a reader might want. ", "Предложение, которое стоит прочесть. ",
         "Subscribe to read more.",
         "%PDF-1.7\n", "\x89PNG", "1 0 obj<<>>endobj\n", "trailer<</Root 1 0 R>>", "%%EOF", "<p>" * 300, "<div>" * 260]
    ),
    st.text(max_size=30),
)  # fmt: skip
HTML = st.lists(MARKUP, max_size=60).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))
LABELS = st.sampled_from([None, "utf-8", "utf-16", "windows-1251", "iso-2022-jp", "koi8-r", "x-none", "utf-7", "hz"])
KINDS = st.sampled_from(["text/html", "text/plain", "application/pdf", "", "application/xhtml+xml"])


@QUIET
@given(st.one_of(HTML, HTML, st.binary(max_size=400)), LABELS, KINDS)
@told
def cleaner(body: bytes, charset: str | None, kind: str) -> None:
    """Any bytes become a document that a reader can see, or a reason why not."""
    limits = ExtractLimits()
    url = "https://page.example/"
    outcome = clean(Page(Hit(url, "A page"), url, kind, charset, body, 1), limits)
    if isinstance(outcome, Document):
        assert limits.min_chars <= len(outcome.text) <= limits.max_chars
        assert not INVISIBLE.search(outcome.text + outcome.title)
        (outcome.text + outcome.title).encode()


# ---- the think splitter

THOUGHT = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", "\n", " ", "<think", "<<think>"])
    | st.text(max_size=5),
    max_size=40,
).map("".join)


@QUIET
@given(THOUGHT, CUTS, st.booleans())
@told
def thinking(text: str, cuts: list[int], inside: bool) -> None:
    """Cut anywhere, it splits the same; nothing gets lost but the marks of a thought and blanks around it."""
    whole, cut_up = _split([text], inside), _split(cut(text, cuts), inside)
    assert cut_up == whole
    for kind in (Thinking, Text):
        assert whole[kind].strip() in text
    kept = whole[Thinking] + whole[Text]
    assert len(re.sub(r"\s", "", text)) - len(re.sub(r"\s", "", kept)) in (
        0,
        len("<think>"),
        len("</think>"),
        len("<think></think>"),
    )


def _split(pieces: list[str], inside: bool) -> dict[type, str]:
    splitter = ThinkingSplitter(inside=inside)
    events = [event for piece in pieces for event in splitter.feed(piece)] + splitter.flush()
    return {kind: "".join(event.text for event in events if isinstance(event, kind)) for kind in (Thinking, Text)}


# ---- the citation reader, with the reader of links inside as in an answer


def _source(number: int) -> Source:
    document = Document(f"https://page{number}.example/a_({number})", f"Title {number}", "Text.", "page.example")
    return Source(number, document, (Ranked(Passage(document, 0, 5), 1.0, 1.0),))


SOURCES = tuple(_source(number) for number in range(1, 6))
OWN = re.compile(r"https://page\d\.example/")
ANSWER = st.lists(
    st.one_of(
        st.sampled_from(
            ["[1]", "[2][3]", "【4】", "[citation:3]", "[webpage 5]", "[9]", "[[5]](https://evil.example/)",
             "[1, 9; 2]", "[", "]", "(", ")",
             "`", "```", "~~~", "\n", "\n\n", "> ", "- ", "|", "   ", "https://evil.example/x", "www.evil.example",
             "![a](//evil.example)",
             "<img src=x>", "<", ">", "[b]: ", "\\", "&lt;", "https://page1.example/a_(1)", "text. ", "Слово, ",
             "`x[1]`", "]: //evil.example"]
        ),
        st.text(max_size=6),
    ),
    max_size=40,
).map("".join)  # fmt: skip


@QUIET
@given(ANSWER, CUTS, st.sampled_from(["link", "numeric", "quote", "none"]))
@told
def citations(text: str, cuts: list[int], style: str) -> None:
    """Cut anywhere, it reads the same; every span is a mark of a known source; no address can be opened but theirs."""
    reader, cut_up = _read([text], style), _read(cut(text, cuts), style)
    assert (cut_up.text, cut_up.annotations, cut_up.unknown) == (reader.text, reader.annotations, reader.unknown)
    known = {source.document.url for source in SOURCES}
    assert set(reader.cited) <= known
    for mark in reader.annotations:
        assert re.match(r"\[", reader.text[mark.start : mark.end]) or style == "none"
    outside = re.sub(r"(`+|~+)[\s\S]*", "", reader.text)
    assert all(OWN.match(found) for found in re.findall(r"https?://\S+", outside))


def _read(pieces: list[str], style: str) -> CitationReader:
    links = LinkReader(tuple(source.document.url for source in SOURCES), "en")
    reader = CitationReader(SOURCES, style, links=links)
    shown = "".join(reader.feed(piece) for piece in pieces) + reader.flush()
    assert shown == reader.text
    return reader


# ---- addresses

ADDRESS = st.lists(
    st.one_of(
        st.sampled_from(
            ["http", "https", "://", "//", ":", "/", "@", "user:secret@", "example.org", "пример.рф", "[::1]",
             "[::ffff:7f00:1]", "127.0.0.1",
             "0x7f.1", "2130706433", "127。0。0。1", ":80", ":443", ":99999", "?", "&", "#", "utm_source=x", "a=1",
             "%2e", "%00", "%", "..", ".",
             "www.", "m.", "amp.", "\\", "\t", "\n", " ", "google.com/amp/s/", "a.cdn.ampproject.org/c/s/",
             "turbopages.org/", "/s/", "xn--", "ⅷ", "ß"]
        ),
        st.text(max_size=4),
    ),
    max_size=14,
).map("".join)  # fmt: skip


@QUIET
@given(ADDRESS, st.sampled_from(["", "http://", "https://"]))
@told
def addresses(text: str, scheme: str) -> None:
    """Have one canonical form, without credentials, and what is printed of it is safe inside Markdown."""
    once = urls.canonical(scheme + text)
    if once is None:
        return
    assert urls.canonical(once) == once
    assert urls.key(once) == urls.key(urls.canonical(once) or "")
    parts = urlsplit(once)
    assert parts.scheme in ("http", "https")
    assert "@" not in parts.netloc
    assert urls.site(once)
    assert urls.origin(once).startswith(parts.scheme)
    assert re.fullmatch(r"[!-~]*", urls.printable(once))
    assert not set("()<>") & set(urls.printable(once))
    assert not set("[]") & set(urlsplit(urls.printable(once)).path)


# ---- the guard

BYTES = st.sampled_from([0, 1, 10, 100, 127, 169, 172, 192, 224, 240, 254, 255])
FOUR = st.integers(0, 2**32 - 1) | st.tuples(BYTES, BYTES, BYTES, BYTES).map(int.from_bytes)
PREFIXES = (
    *("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "2002::", "2001::", "fe80::5efe:0:0"),
    *("2a00:1450::", "fc00::", "ff02::"),
)
SIX = st.one_of(
    st.integers(0, 2**128 - 1),
    st.tuples(st.sampled_from(PREFIXES), FOUR).map(lambda two: int(ipaddress.IPv6Address(two[0])) | two[1]),
    FOUR.map(lambda four: int(ipaddress.IPv6Address("2002::")) | four << 80),
)
HOSTS = st.one_of(
    FOUR.map(lambda four: str(ipaddress.IPv4Address(four))),
    SIX.map(lambda six: f"[{ipaddress.IPv6Address(six)}]"),
    st.lists(
        st.sampled_from(
            [
                *("127", "0x7f", "0177", ".", "1", "localhost", "internal", "a", "example", "org", "%25eth0", "[", "]"),
                *("::", "1。1", "metadata.google."),
            ]
        ),
        max_size=8,
    ).map("".join),
    st.text(max_size=20),
)  # fmt: skip
NETS = st.one_of(
    st.text("0123456789abcdef:./[]", max_size=30), st.sampled_from(["10.0.0.0/8", "[fd00::/8]:443", "127.0.0.1/32:80"])
)


@QUIET
@given(
    HOSTS,
    st.integers(-1, 70_000) | st.sampled_from([80, 443]),
    st.lists(FOUR.map(ipaddress.IPv4Address) | SIX.map(ipaddress.IPv6Address), max_size=3),
    NETS,
)
@told
def guarded(host: str, port: int, answers: list[guard.Address], net: str) -> None:
    """Give only public addresses on a web port, whatever a name resolves to; read any net or say what is wrong."""

    async def look_up(host: str, port: int) -> list[str]:
        if not answers:
            raise guard.httpcore2.ConnectError("no such name")
        return [str(answer) for answer in answers]

    guard.look_up = look_up
    try:
        address = ipaddress.ip_address(anyio.run(guard.Guard().resolve, host, port))
    except guard.httpcore2.ConnectError:
        pass
    else:
        assert port in (80, 443)
        assert all(_public(each) for each in ([address] if _is_address(host) else answers))
    try:
        allowed = guard.parse_allowed_net(net)
    except ValueError:
        pass
    else:
        assert allowed.port is None or 0 < allowed.port < 65_536


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _public(address: guard.Address) -> bool:
    """Tell by other means than the guard's: the flags of `ipaddress`, of an IPv4 address inside as well."""
    flags = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
    )
    if flags or address.is_unspecified or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    return all(one is None or _public(one) for one in inner)


PARTS = {"cleaner": cleaner, "thinking": thinking, "citations": citations, "urls": addresses, "guard": guarded}


def main() -> None:
    """Fuzz one part for some seconds."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("part", choices=PARTS)
    cli.add_argument("--seconds", type=int, default=60)
    args = cli.parse_args()
    with tempfile.TemporaryDirectory() as corpus:
        flags = {
            "max_total_time": args.seconds,
            "timeout": HANG_SECONDS,
            "rss_limit_mb": MEMORY_MB,
            "print_final_stats": 1,
            "max_len": MAX_INPUT_BYTES,
            "len_control": 0,
            "artifact_prefix": f"{tempfile.gettempdir()}/{args.part}-",
        }
        atheris.Setup(
            [sys.argv[0], *(f"-{name}={value}" for name, value in flags.items()), corpus],
            PARTS[args.part].hypothesis.fuzz_one_input,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
