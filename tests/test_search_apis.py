"""The engines with keys, against replies of the shape that each API sends, from a server on loopback."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx2
import pytest
from pydantic import SecretStr

from retrieval.engines.brave import BraveEngine
from retrieval.engines.deepseek import DeepSeekEngine
from retrieval.engines.searxng import SearxngEngine
from retrieval.engines.serper import SerperEngine
from retrieval.engines.tavily import TavilyEngine
from retrieval.errors import EngineError, EngineRefused
from retrieval.types import Hit, Query, SearchFilters
from tests import web as local

pytestmark = pytest.mark.anyio

KEY = "tvly-SECRET-0123456789"
HTML = (("Content-Type", "text/html; charset=utf-8"),)
JSON = (("Content-Type", "application/json"),)
CAPTCHA = b"""<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>
<form id="challenge-form"><div class="g-recaptcha">Please complete the CAPTCHA</div></form></body></html>"""
FILTERS = SearchFilters(("a.org", "b.org"), ("ads.net",), None, "2024-01-02", "2024-06-30")
WEEK = SearchFilters(recency="week")

BRAVE = {
    "query": {"original": "pier", "show_strict_warning": False, "more_results_available": True},
    "mixed": {"type": "mixed", "main": [{"type": "web", "index": 0, "all": False}], "top": [], "side": []},
    "type": "search",
    "web": {
        "type": "search",
        "results": [
            {
                "title": "One",
                "url": "https://a.org/1",
                "is_source_local": False,
                "is_source_both": False,
                "description": "First",
                "page_age": "2024-03-05T10:00:00",
                "profile": {"name": "A", "url": "https://a.org/1", "long_name": "a.org", "img": "https://i/1"},
                "language": "en",
                "family_friendly": True,
                "type": "search_result",
                "subtype": "generic",
                "meta_url": {"scheme": "https", "netloc": "a.org", "hostname": "a.org", "favicon": "", "path": "› 1"},
                "age": "March 5, 2024",
            },
            {"title": "Two", "url": "https://a.org/2", "description": "Second"},
        ],
        "family_friendly": True,
    },
}
TAVILY = {
    "query": "pier",
    "follow_up_questions": None,
    "answer": None,
    "images": [],
    "results": [
        {
            "url": "https://a.org/1",
            "title": "One",
            "content": "First",
            "score": 0.91,
            "raw_content": None,
            "published_date": "Tue, 05 Mar 2024 10:00:00 GMT",
        },
        {"url": "https://a.org/2", "title": "Two", "content": "Second", "score": 0.5, "raw_content": None},
    ],
    "response_time": 1.09,
    "request_id": "c0ffee",
}
SERPER = {
    "searchParameters": {"q": "pier", "gl": "us", "hl": "en", "type": "search", "page": 1, "engine": "google"},
    "organic": [
        {
            "title": "One",
            "link": "https://a.org/1",
            "snippet": "First",
            "date": "Mar 5, 2024",
            "sitelinks": [{"title": "More", "link": "https://a.org/more"}],
            "position": 1,
        },
        {"title": "Two", "link": "https://a.org/2", "snippet": "Second", "position": 2},
    ],
    "peopleAlsoAsk": [{"question": "What is a pier?", "snippet": "…", "title": "Pier", "link": "https://c.org"}],
    "relatedSearches": [{"query": "pier one"}],
    "credits": 1,
}
DEEPSEEK = {
    "results": [
        {
            "title": "Two",
            "url": "https://a.org/2",
            "snippet": "Second",
            "summary": "",
            "content": "",
            "rerank_score": 1.2,
            "authority": 2,
            "date": "",
            "site_name": "A",
            "site_icon": "https://a.org/icon",
        },
        {
            "title": "One",
            "url": "https://a.org/1",
            "snippet": "short",
            "summary": "First",
            "content": "",
            "rerank_score": 2.1,
            "authority": 3,
            "date": "2024-03-05T08:00:00Z",
            "site_name": "A",
            "site_icon": "https://a.org/icon",
        },
    ]
}


@dataclass(frozen=True)
class Api:
    """One API: its engine, a reply of it, and the reply without results."""

    engine: type
    full: dict
    empty: dict
    rows: tuple[str, ...]

    def __str__(self) -> str:
        return self.engine.name

    def partly(self, row: object) -> bytes:
        """Make a reply whose one row is another."""
        body = {**self.empty}
        if self.rows == ("web", "results"):
            body["web"] = {"type": "search", "results": [row]}
        else:
            body[self.rows[0]] = [row]
        return json.dumps(body).encode()


APIS = [
    Api(BraveEngine, BRAVE, {key: value for key, value in BRAVE.items() if key != "web"}, ("web", "results")),
    Api(TavilyEngine, TAVILY, {**TAVILY, "results": []}, ("results",)),
    Api(SerperEngine, SERPER, {**SERPER, "organic": []}, ("organic",)),
    Api(DeepSeekEngine, DEEPSEEK, {"results": []}, ("results",)),
]
EVERY = pytest.mark.parametrize("api", APIS, ids=str)


class AnyPath(dict):
    def get(self, path):
        return super().get("/")


@asynccontextmanager
async def opened(api: Api, body: bytes | dict, status: int = 200, headers=JSON, **options):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with local.running() as web, httpx2.AsyncClient(trust_env=False, verify=False, timeout=2) as client:
        web.replies = AnyPath()
        web.page("/", body, status=status, headers=headers, **options)
        yield api.engine(SecretStr(KEY), client, web.base + "/v1/search"), web


async def failure(api: Api, body: bytes | dict, status: int = 200, headers=JSON, **options) -> EngineError:
    async with opened(api, body, status, headers, **options) as (engine, _):
        with pytest.raises(EngineError) as caught:
            await engine.search(Query("my illness"), 1)
        assert KEY not in f"{caught.value!r} {caught.value} {engine!r} {vars(engine)}"
        assert "illness" not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)
    return caught.value


async def asked(api: Api, query: Query, page: int = 1) -> dict:
    """Return what the API is asked, and check that the key comes along."""
    async with opened(api, api.full) as (engine, web):
        await engine.search(query, page)
    assert KEY.encode() in web.heads[0]
    assert KEY.encode() not in web.bodies[0] + web.heads[0].split(b"\r\n")[0]
    if web.bodies[0]:
        return json.loads(web.bodies[0])
    return dict(parse_qsl(web.heads[0].split()[1].decode().partition("?")[2]))


@EVERY
async def test_results_become_hits(api):
    async with opened(api, api.full) as (engine, _):
        assert await engine.search(Query("pier"), 1) == (
            Hit("https://a.org/1", "One", "First", "2024-03-05"),
            Hit("https://a.org/2", "Two", "Second", None),
        )


@EVERY
async def test_no_results_are_no_error(api):
    async with opened(api, api.empty) as (engine, _):
        assert await engine.search(Query("pier"), 1) == ()


@EVERY
async def test_a_row_without_an_address_is_left_out(api):
    for row in ({}, {"title": "T"}, {"url": None, "link": None}, {"url": "", "link": ""}):
        async with opened(api, api.partly(row)) as (engine, _):
            assert await engine.search(Query("pier"), 1) == ()
    only = {"url": "https://a.org/", "link": "https://a.org/", "title": None, "snippet": None, "date": "soon"}
    async with opened(api, api.partly(only)) as (engine, _):
        assert await engine.search(Query("pier"), 1) == (Hit("https://a.org/", "", "", None),)


@EVERY
async def test_half_a_character_spoils_no_reply(api):
    row = {"url": "https://a.org/", "link": "https://a.org/", "title": "cut \ud83d"}
    async with opened(api, api.partly(row)) as (engine, _):
        assert await engine.search(Query("pier"), 1) == (Hit("https://a.org/", "cut \ud83d"),)


@EVERY
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"error": "x"}', b'{"results": {}}', b"{\"results\": [",
                                  b"<!DOCTYPE html><html><body>Welcome</body></html>", b"\xff\xfe{",
                                  b"[" * 100_000])  # fmt: skip
async def test_what_is_not_its_json_is_an_error(api, body):
    error = await failure(api, body)
    assert str(error) == "sent something that is not its JSON format"
    assert not isinstance(error, EngineRefused)


@EVERY
async def test_a_row_of_another_kind_is_an_error(api):
    assert str(await failure(api, api.partly("x"))) == "sent something that is not its JSON format"
    assert str(await failure(api, api.partly({"url": 7, "link": 7}))) == "sent something that is not its JSON format"


@EVERY
async def test_a_captcha_is_a_refusal_whatever_the_status(api):
    for status in (200, 403, 503):
        error = await failure(api, CAPTCHA, status, HTML)
        assert isinstance(error, EngineRefused)
        assert "CAPTCHA" in str(error)


@EVERY
@pytest.mark.parametrize(
    ("status", "told"),
    [(202, "robot"), (402, "used up"), (429, "too many requests"), (432, "quota"), (433, "limit")],
)
async def test_refusals(api, status, told):
    error = await failure(api, b'{"message": "no"}', status)
    assert isinstance(error, EngineRefused)
    assert str(error).startswith(f"answered {status}: ")
    assert told in str(error)
    assert error.retry_after_seconds == 0


@EVERY
async def test_an_overloaded_server_is_asked_again_soon_unless_it_names_a_time(api):
    error = await failure(api, b"", 503)
    assert not isinstance(error, EngineRefused)
    assert "overload" in str(error)


@EVERY
@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_names_its_setting_and_nothing_else(api, status):
    error = await failure(api, json.dumps({"detail": {"error": f"Unauthorized: invalid key {KEY}"}}).encode(), status)
    assert isinstance(error, EngineRefused)
    assert str(error) == (
        f"answered {status}: it does not take the key: check WELLREAD_{api.engine.name.upper()}_API_KEY"
    )


@EVERY
@pytest.mark.parametrize("status", [302, 400, 404, 422, 500, 502])
async def test_faults(api, status):
    error = await failure(api, b'{"message": "Bad Request"}', status)
    assert str(error) == f"answered {status}"
    assert not isinstance(error, EngineRefused)


@EVERY
async def test_retry_after_is_read(api):
    date = (datetime.now(UTC) + timedelta(seconds=100)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for value, least, most in (("17", 17, 17), (date, 60, 100), ("soon", 0, 0), ("999999999", 3600, 3600)):
        error = await failure(api, b"{}", 429, (*JSON, ("Retry-After", value)))
        assert least <= error.retry_after_seconds <= most


async def test_brave_tells_when_its_windows_reset():
    windows = ("X-RateLimit-Limit", "1, 15000"), ("X-RateLimit-Remaining", "0, 1000"), ("X-RateLimit-Reset", "1, 90000")
    body = {"type": "ErrorResponse", "error": {"status": 429, "code": "RATE_LIMITED", "meta": {"plan": "Free"}}}
    assert (await failure(APIS[0], body, 429, (*JSON, *windows))).retry_after_seconds == 1
    used_up = *windows[:1], ("X-RateLimit-Remaining", "0, 0"), windows[2]
    assert (await failure(APIS[0], body, 429, (*JSON, *used_up))).retry_after_seconds == 90000
    odd = ("X-RateLimit-Remaining", "0, 0, x"), ("X-RateLimit-Reset", "never, ²")
    assert (await failure(APIS[0], body, 429, (*JSON, *odd))).retry_after_seconds == 0


async def test_serper_without_credits_is_a_refusal():
    error = await failure(APIS[2], {"message": "Not enough credits", "statusCode": 400}, 400)
    assert isinstance(error, EngineRefused)
    assert "credits" in str(error)


@EVERY
async def test_a_reply_that_is_too_large_is_an_error(api):
    assert str(await failure(api, b" " * 4_000_001)) == "sent more than 4000000 bytes"
    large = await failure(api, b"x" * 4_000_001, 429)
    assert str(large) == "answered 429: too many requests"


@EVERY
async def test_a_reply_that_unpacks_too_large_is_an_error(api):
    headers = (*JSON, ("Content-Encoding", "gzip"))
    assert "sent more than" in str(await failure(api, local.zipped(b" " * 9_000_000), headers=headers))


@EVERY
async def test_a_broken_line_is_an_error(api):
    assert str(await failure(api, b"{}", 200, (*JSON, ("Content-Encoding", "gzip")))).startswith("cannot be reached (")
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=1) as client:
        engine = api.engine(SecretStr(KEY), client, "http://127.0.0.1:9/")
        with pytest.raises(EngineError, match=r"^cannot be reached \(ConnectError\)$"):
            await engine.search(Query("pier"), 1)


@pytest.mark.parametrize(("api", "pages"), [(APIS[0], 10), (APIS[1], 1), (APIS[3], 1)], ids=str)
async def test_after_the_last_page_nothing_is_asked(api, pages):
    async with opened(api, api.full) as (engine, web):
        assert await engine.search(Query("pier"), pages)
        assert await engine.search(Query("pier"), pages + 1) == ()
    assert len(web.heads) == 1


async def test_what_brave_is_asked():
    plain = {"count": "20", "offset": "0", "result_filter": "web", "text_decorations": "false"}
    assert await asked(APIS[0], Query("pier")) == {**plain, "q": "pier", "country": "ALL"}
    russian = {"q": "пирс", "search_lang": "ru", "country": "RU", "offset": "2", "freshness": "pw"}
    assert await asked(APIS[0], Query("пирс", "ru", WEEK), 3) == {**plain, **russian}
    # A language and a country that it does not know would be an error.
    assert await asked(APIS[0], Query("pier", "uk")) == {**plain, "q": "pier", "search_lang": "uk", "country": "ALL"}
    assert "search_lang" not in await asked(APIS[0], Query("pier", "xx"))
    assert (await asked(APIS[0], Query("橋", "ja")))["search_lang"] == "jp"
    filtered = await asked(APIS[0], Query("pier", None, FILTERS))
    assert filtered["q"] == "pier -site:ads.net site:a.org OR site:b.org"
    assert filtered["freshness"] == "2024-01-02to2024-06-30"
    assert (await asked(APIS[0], Query("pier", None, SearchFilters(before="2024-06-30"))))["freshness"] == (
        "1970-01-01to2024-06-30"
    )


@EVERY
async def test_half_a_character_can_be_asked(api):
    assert "a? pier" in str(await asked(api, Query("a\ud83d pier")))


async def test_brave_takes_no_long_queries():
    words = (await asked(APIS[0], Query("word " * 100, None, FILTERS)))["q"]
    assert len(words) <= 400
    assert len(words.split()) <= 50
    assert words.endswith("site:b.org")
    many = SearchFilters(domains=tuple(f"host{i}.example.org" for i in range(30)))
    assert (await asked(APIS[0], Query("pier", None, many)))["q"] == "pier"


async def test_what_tavily_is_asked():
    plain = {"query": "pier", "max_results": 20, "search_depth": "basic"}
    assert await asked(APIS[1], Query("pier", "en")) == plain
    assert await asked(APIS[1], Query("pier", "ru", WEEK)) == {**plain, "country": "russia", "time_range": "week"}
    assert await asked(APIS[1], Query("pier", None, FILTERS)) == {
        **plain,
        "include_domains": ["a.org", "b.org"],
        "exclude_domains": ["ads.net"],
        "start_date": "2024-01-02",
        "end_date": "2024-06-30",
    }
    assert len((await asked(APIS[1], Query("слово " * 100)))["query"]) <= 400


async def test_the_country_of_the_user_is_searched_from():
    abroad = Query("pier", "ru", SearchFilters(country="de"))

    assert (await asked(APIS[0], abroad))["country"] == "DE"
    assert (await asked(APIS[1], abroad))["country"] == "germany"
    assert (await asked(APIS[2], abroad))["gl"] == "de"


async def test_what_serper_is_asked():
    assert await asked(APIS[2], Query("pier")) == {"q": "pier", "num": 10, "page": 1}
    assert await asked(APIS[2], Query("пирс", "ru", WEEK), 2) == {
        "q": "пирс", "num": 10, "page": 2, "hl": "ru", "gl": "ru", "tbs": "qdr:w",
    }  # fmt: skip
    filtered = await asked(APIS[2], Query("pier", None, FILTERS))
    assert filtered["q"] == "pier -site:ads.net site:a.org OR site:b.org"
    assert filtered["tbs"] == "cdr:1,cd_min:1/2/2024,cd_max:6/30/2024"


async def test_what_deepseek_is_asked():
    assert await asked(APIS[3], Query("pier")) == {"query": "pier", "count": 50, "ori_question": "pier"}
    one = SearchFilters(("a.org",), ("ads.net",), None, "2024-01-02", "2024-06-30")
    assert (await asked(APIS[3], Query("пирс", "ru", one)))["query"] == (
        "пирс -site:ads.net site:a.org lang:ru after:2024-01-02 before:2024-06-30"
    )
    week_ago = (datetime.now(UTC) - timedelta(days=7)).date().isoformat()
    assert (await asked(APIS[3], Query("pier", None, WEEK)))["query"] == f"pier after:{week_ago}"
    long = await asked(APIS[3], Query("слово " * 100, "ru"))
    assert len(long["query"]) <= 128
    assert long["query"].endswith(" lang:ru")
    assert len(long["ori_question"]) <= 128


async def test_searxng_knows_the_same_refusals():
    for status, body, refused in ((429, b"Too Many Requests", True), (200, CAPTCHA, True), (500, b"", False)):
        async with local.running() as web, httpx2.AsyncClient(trust_env=False, verify=False, timeout=2) as client:
            web.replies = AnyPath()
            web.page("/", body, status=status, headers=HTML)
            with pytest.raises(EngineError) as caught:
                await SearxngEngine(web.base, client).search(Query("pier"), 1)
            assert isinstance(caught.value, EngineRefused) == refused
