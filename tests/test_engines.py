import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import anyio
import httpx2
import pytest
from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

from retrieval.engines.ddgs import DdgsEngine
from retrieval.engines.ddgs_refusals import WatchedDDGS
from retrieval.engines.searxng import SearxngEngine
from retrieval.errors import EngineError, EngineRefused
from retrieval.types import Hit, PartialPage, Query, SearchFilters
from tests import web as local

pytestmark = pytest.mark.anyio
JSON = (("Content-Type", "application/json"),)
FILTERS = SearchFilters(("a.org", "b.org"), ("ads.net", "spam.net"), "week")


def result(number: int, **fields) -> dict:
    """Make one result as SearXNG sends it."""
    return {
        "url": f"https://example.org/{number}",
        "title": f"Title {number}",
        "content": f"Snippet {number}",
        "publishedDate": None,
        "thumbnail": "",
        "engine": "brave",
        "template": "default.html",
        "parsed_url": ["https", "example.org", f"/{number}", "", "", ""],
        "img_src": "",
        "priority": "",
        "engines": ["brave", "duckduckgo"],
        "positions": [number, 3],
        "score": 1.5,
        "category": "general",
        **fields,
    }


def reply(*results, unresponsive=()) -> bytes:
    return json.dumps(
        {
            "query": "pier",
            "number_of_results": 0,
            "results": results,
            "answers": [],
            "corrections": [],
            "infoboxes": [],
            "suggestions": ["pier one"],
            "unresponsive_engines": unresponsive,
        }
    ).encode()


class AnyQuery(dict):
    """Replies by path, whatever the query string says."""

    def get(self, path):
        return super().get(path.partition("?")[0])


@asynccontextmanager
async def searxng(body: bytes, status: int = 200, path: str = "/search", at: str = "", **options):
    async with local.running() as web, httpx2.AsyncClient(trust_env=False, verify=False, timeout=0.5) as client:
        web.replies = AnyQuery()
        web.page(path, body, status=status, headers=JSON, **options)
        yield SearxngEngine(web.base + at, client), web


def asked(web) -> dict[str, str]:
    target = web.heads[-1].split()[1].decode()
    pairs = parse_qsl(target.partition("?")[2])
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


async def failure(body: bytes, status: int = 200, **options) -> str:
    async with searxng(body, status, **options) as (engine, _):
        with pytest.raises(EngineError) as caught:
            await engine.search(Query("pier"), 1)
    return str(caught.value)


async def test_searxng_results_become_hits():
    rows = result(1), result(2, publishedDate="2024-03-05T10:00:00+00:00"), result(3, title=None, content=None)
    async with searxng(reply(*rows, unresponsive=[["brave", "timeout"]])) as (engine, _):
        assert await engine.search(Query("pier"), 1) == (
            Hit("https://example.org/1", "Title 1", "Snippet 1", None),
            Hit("https://example.org/2", "Title 2", "Snippet 2", "2024-03-05"),
            Hit("https://example.org/3", "", "", None),
        )


async def test_searxng_without_results_has_no_more():
    async with searxng(reply()) as (engine, _):
        assert await engine.search(Query("pier"), 7) == ()


@pytest.mark.parametrize(
    ("query", "page", "sent"),
    [
        (Query("pier"), 1, {"q": "pier", "format": "json", "pageno": "1"}),
        (
            Query("pier", "en", SearchFilters(country="gb")),
            1,
            {"q": "pier", "format": "json", "pageno": "1", "language": "en-GB"},
        ),
        (Query("пирс & co", "ru"), 3, {"q": "пирс & co", "format": "json", "pageno": "3", "language": "ru"}),
        (
            Query("pier", None, FILTERS),
            1,
            {
                "q": "pier -site:ads.net -site:spam.net site:a.org OR site:b.org",
                "format": "json",
                "pageno": "1",
                "time_range": "week",
            },
        ),
        (
            Query("pier", None, SearchFilters(recency="hour")),
            1,
            {"q": "pier", "format": "json", "pageno": "1", "time_range": "day"},
        ),
    ],
)
async def test_what_searxng_is_asked(query, page, sent):
    async with searxng(reply()) as (engine, web):
        await engine.search(query, page)
        assert asked(web) == sent


@pytest.mark.parametrize("at", ["", "/", "/searx", "/searx/"])
async def test_searxng_may_live_below_a_path(at):
    async with searxng(reply(result(1)), path=at.rstrip("/") + "/search", at=at) as (engine, _):
        assert len(await engine.search(Query("pier"), 1)) == 1


async def test_an_outage_behind_searxng_is_no_empty_result():
    down = [["brave", "too many requests"], ["google", "Suspended: access denied"], ["qwant", "CAPTCHA"]]
    assert await failure(reply(unresponsive=down)) == (
        "every engine behind it is unresponsive: "
        "brave too many requests, google Suspended: access denied, qwant CAPTCHA"
    )


async def test_engines_that_are_missing_behind_searxng_are_noted():
    async with searxng(reply(result(1), unresponsive=[["brave", "timeout"]])) as (engine, _):
        page = await engine.search(Query("pier"), 1)
    assert isinstance(page, PartialPage)
    assert (len(page), page.note) == (1, "unresponsive behind it: brave timeout")


async def test_a_later_page_of_searxng_may_be_empty_though_an_engine_is_missing():
    async with searxng(reply(unresponsive=[["brave", "timeout"]])) as (engine, _):
        assert await engine.search(Query("pier"), 2) == ()


async def test_unresponsive_engines_of_another_shape_are_named_too():
    assert "brave" in await failure(reply(unresponsive=["brave"]))


@pytest.mark.parametrize(
    ("status", "remedy"), [(403, "search.formats"), (429, "server.limiter"), (500, "answered 500"), (302, "302")]
)
async def test_refusals_of_searxng_name_the_remedy(status, remedy):
    assert remedy in await failure(b"<html>", status)


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html>", b"", b"[]", b"null", b'{"data": []}', b'{"results": {}}',
                                  b'{"results": ["x"]}', b"\xff\xfe{"])  # fmt: skip
async def test_what_is_not_its_json_is_an_error(body):
    assert await failure(body) == "sent something that is not its JSON format"


async def test_half_a_character_can_be_asked():
    async with searxng(reply()) as (engine, web):
        await engine.search(Query("a\ud83d pier"), 1)
        assert asked(web)["q"] == "a? pier"
    public = Public()
    await ask(public, Query("a\ud83d pier"))
    assert public.calls[0][0] == "a? pier"


async def test_a_searxng_that_is_not_there():
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=1) as client:
        with pytest.raises(EngineError, match=r"cannot be reached \(ConnectError\)") as caught:
            await SearxngEngine("http://127.0.0.1:9", client).search(Query("pier"), 1)
    assert "127.0.0.1" not in str(caught.value)


async def test_a_searxng_that_is_silent():
    with anyio.fail_after(3):
        assert "ReadTimeout" in await failure(reply(), delay=30)


# ddgs


@dataclass
class Public:
    """Stands for `ddgs.DDGS`: gives rows or raises."""

    outcome: object = ()
    refusals: tuple[str, ...] = ()
    calls: list[tuple[str, dict]] = field(default_factory=list)
    timeouts: list[int] = field(default_factory=list)

    def __call__(self, seconds: int) -> "Public":
        self.timeouts.append(seconds)
        return self

    def text(self, query: str, **kwargs) -> list:
        self.calls.append((query, kwargs))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return list(self.outcome)


async def ask(public: Public, query: Query, page: int = 1) -> tuple[Hit, ...]:
    return await DdgsEngine(6.0, public).search(query, page)


async def test_ddgs_rows_become_hits():
    rows = [
        {"title": "One", "href": "https://a.org/1", "body": "First"},
        {"title": None, "href": "https://a.org/2", "body": None},
        {"title": "No address", "href": "", "body": "x"},
        {"href": "https://a.org/3"},
    ]
    assert await ask(Public(rows), Query("pier")) == (
        Hit("https://a.org/1", "One", "First"),
        Hit("https://a.org/2", "", ""),
        Hit("https://a.org/3", "", ""),
    )


async def test_each_ddgs_search_has_a_client_of_its_own():
    public = Public()
    await ask(public, Query("pier"), 1)
    await ask(public, Query("pier"), 2)
    assert public.timeouts == [6, 6]
    assert [options["page"] for _, options in public.calls] == [1, 2]
    await DdgsEngine(0.2, public).search(Query("pier"), 1)
    assert public.timeouts[-1] == 1


async def test_ddgs_searches_from_the_users_country():
    public = Public()
    await ask(public, Query("pier", "ru", SearchFilters(country="de")))
    assert public.calls[0][1]["region"] == "de-ru"


@pytest.mark.parametrize(
    ("language", "region"),
    [(None, "us-en"), ("en", "us-en"), ("ru", "ru-ru"), ("ja", "jp-jp"), ("uk", "ua-uk"), ("xx", "us-en")],
)
async def test_ddgs_searches_in_the_region_of_the_language(language, region):
    public = Public()
    await ask(public, Query("pier", language))
    assert public.calls[0][1]["region"] == region
    assert "timelimit" not in public.calls[0][1]


@pytest.mark.parametrize(
    ("recency", "limit"), [("hour", "d"), ("day", "d"), ("week", "w"), ("month", "m"), ("year", "y")]
)
async def test_ddgs_limits_the_time(recency, limit):
    public = Public()
    await ask(public, Query("pier", None, SearchFilters(recency=recency)))
    assert public.calls[0][1]["timelimit"] == limit


async def test_ddgs_is_told_the_domains():
    public = Public()
    await ask(public, Query("pier", None, FILTERS))
    assert public.calls[0][0] == "pier -site:ads.net -site:spam.net site:a.org OR site:b.org"


async def test_nothing_found_by_ddgs_is_no_error():
    assert await ask(Public(DDGSException("No results found.")), Query("pier")) == ()


@pytest.mark.parametrize(
    "error",
    [
        RatelimitException("https://html.duckduckgo.com/html 202 Ratelimit"),
        TimeoutException("operation timed out"),
        DDGSException("error sending request"),
    ],
)
async def test_failures_of_ddgs_are_errors_with_their_cause(error):
    with pytest.raises(EngineError) as caught:
        await ask(Public(error), Query("pier"))
    assert str(caught.value) == f"{type(error).__name__}: {error}"
    assert caught.value.__cause__ is error


async def test_a_failure_of_ddgs_does_not_repeat_the_query():
    error = DDGSException("error sending request for url (https://x.org/?q=my+illness&s=1): timed out")
    with pytest.raises(EngineError) as caught:
        await ask(Public(error), Query("my illness"))
    assert str(caught.value) == "DDGSException: error sending request for url (https://x.org/): timed out"


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (RatelimitException("https://html.duckduckgo.com/html 202 Ratelimit"), True),
        (DDGSException("https://www.bing.com/search?q=x 429 Too Many Requests"), True),
        (TimeoutException("operation timed out"), False),
        (DDGSException("error sending request"), False),
    ],
)
async def test_refusals_of_ddgs_are_told_from_faults(error, refused):
    with pytest.raises(EngineError) as caught:
        await ask(Public(error), Query("pier"))
    assert isinstance(caught.value, EngineRefused) == refused


async def test_nothing_found_by_ddgs_while_it_was_turned_away_is_no_empty_result():
    refusals = ("duckduckgo answered 202", "brave answered 429", "duckduckgo answered 202")
    with pytest.raises(EngineRefused) as caught:
        await ask(Public(DDGSException("No results found."), refusals), Query("pier"))
    assert str(caught.value) == "turned away: brave answered 429, duckduckgo answered 202"
    page = await ask(Public([{"href": "https://a.org/1"}], refusals[:1]), Query("pier"))
    assert (len(page), page.note) == (1, "turned away: duckduckgo answered 202")


# the installed ddgs itself, with its DuckDuckGo on loopback

DUCKDUCKGO = b"""<html><body><div id="links" class="results">
<div class="result results_links results_links_deep web-result"><div class="links_main links_deep result__body">
<h2 class="result__title"><a rel="nofollow" class="result__a" href="https://a.org/1">One</a></h2>
<a class="result__snippet" href="https://a.org/1">First <b>pier</b></a></div></div></div></body></html>"""
ANOMALY = b"""<html><body><form id="challenge-form" action="//duckduckgo.com/anomaly.js?sv=html">
<div class="anomaly-modal__title">Unfortunately, bots use DuckDuckGo too.</div></form></body></html>"""


@asynccontextmanager
async def duckduckgo(body: bytes, status: int = 200):
    async with local.running() as web:
        web.page("/html/", body, status=status)

        class Nearby(WatchedDDGS):
            def _get_engines(self, category, backend):
                engines = super()._get_engines(category, backend)
                for engine in engines:
                    engine.search_url = web.base + "/html/"
                return engines

        yield DdgsEngine(2.0, Nearby, "duckduckgo"), web


async def test_the_installed_ddgs_finds_results():
    async with duckduckgo(DUCKDUCKGO) as (engine, web):
        hits = await engine.search(Query("pier", "ru"), 1)
    assert [(hit.url, hit.title) for hit in hits] == [("https://a.org/1", "One")]
    assert b"q=pier" in web.bodies[0]
    assert b"l=ru-ru" in web.bodies[0]


@pytest.mark.parametrize(("body", "status"), [(ANOMALY, 202), (ANOMALY, 200), (b"", 403), (b"", 429)])
async def test_the_installed_ddgs_is_turned_away(body, status):
    async with duckduckgo(body, status) as (engine, _):
        with pytest.raises(EngineRefused, match=r"turned away: duckduckgo (answered|asks for a CAPTCHA)"):
            await engine.search(Query("pier"), 1)


async def test_the_installed_ddgs_finds_nothing():
    async with duckduckgo(b"<html><body><div class='no-results'>No results.</div></body></html>") as (engine, _):
        assert await engine.search(Query("pier"), 1) == ()


async def test_a_row_without_an_address_is_left_out():
    body = b'{"results": [{"title": "T"}, {"url": null}, {"url": "https://a.b/1", "title": null}]}'
    async with searxng(body) as (engine, _):
        assert [hit.url for hit in await engine.search(Query("pier"), 1)] == ["https://a.b/1"]
