"""What is remembered, for whom, and what is not; over a web on loopback and a real SQLite file."""

import io
import logging
import shutil
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import pipeline
from agent.build import Parts, open_tools
from agent.doctor.parts import search
from agent.errors import BadSettings
from agent.plan import unaided
from agent.remember import Remembering
from agent.rerun import record, replay
from agent.settings import Settings
from agent.types import Message, Question
from agent.wire.coverage_record import coverage_body, coverage_line
from retrieval.cache import key
from retrieval.cached import HITS, CachedEmbedder, CachedEngine, CachedPages, _deflated, _inflated, _json
from retrieval.caches.sqlite import SqliteCache
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.errors import EngineError
from retrieval.extract import Extractor
from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from retrieval.limits import CacheLimits, ExtractLimits, FetchLimits, RecordingLimits
from retrieval.rank import TextKind, Vectors
from retrieval.recording import Recorder, Replay
from retrieval.types import Document, Hit, Page, PartialPage, Query, SearchFilters, Skipped, SkipReason
from tests import web as local
from tests.test_cache import Clock, redis_server
from tests.test_rerun import Searched, screen

pytestmark = pytest.mark.anyio
LIMITS = CacheLimits(page_least_seconds=10, page_unsaid_seconds=100, page_most_seconds=1000, page_stale_seconds=10_000)
TEXT = "The old pier of Brighton is 525 m long, made of iron and oak, and open every day of the year. " * 4
UNTITLED = f"<html><body><article>{''.join(f'<p>{TEXT}</p>' for _ in range(3))}</article></body></html>".encode()
HTML = ("Content-Type", "text/html; charset=utf-8")
ETAG = ("ETag", '"v1"')


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "cache.sqlite"


@pytest.fixture
def cache(path, clock):
    with closing(SqliteCache(path, LIMITS, clock)) as cache:
        yield cache


@pytest.fixture(scope="module")
async def cleaner():
    async with Extractor(ExtractLimits(workers=1)) as extractor:
        yield extractor


class Conditional(local.Web):
    """A web that knows conditional requests: a page is unchanged for who names its ETag or its date."""

    asked_again = 0

    async def reply(self, reply, reader, writer):
        head = self.heads[-1].decode().lower()
        named = {name.lower(): value.lower() for name, value in reply.headers}
        same = f"if-none-match: {named.get('etag', '-')}\r\n" in head
        same |= f"if-modified-since: {named.get('last-modified', '-')}\r\n" in head
        if same and reply.status == 200:
            self.asked_again += 1
            reply = replace(reply, body=b"", status=304)
        await super().reply(reply, reader, writer)


@dataclass
class Counted:
    """An extractor that counts what it cleans."""

    extractor: Extractor
    cleaned: int = 0

    async def extract(self, page: Page) -> Document | Skipped:
        self.cleaned += 1
        return await self.extractor.extract(page)


@dataclass
class Reading:
    """All that a reading of pages goes through."""

    web: Conditional
    fetcher: Fetcher
    extractor: Counted
    cache: SqliteCache
    clock: Clock

    def pages(self, scope: tuple[str, ...] = (), cleaner: str = "1") -> CachedPages:
        return CachedPages(self.fetcher, self.extractor, self.cache, LIMITS, scope, cleaner, self.clock)

    async def read(self, hit: Hit, pages: CachedPages | None = None) -> Document | Skipped:
        pages = pages or self.pages()
        page = await pages.fetch(hit)
        return page if isinstance(page, Skipped) else await pages.extract(page)

    async def document(self, hit: Hit, pages: CachedPages | None = None) -> Document:
        outcome = await self.read(hit, pages)
        assert isinstance(outcome, Document), outcome
        return outcome

    def page(self, path: str, *headers: tuple[str, str], text: str = TEXT, title: str = "The pier") -> Hit:
        return Hit(self.web.page(path, local.article(title, text), headers=(HTML, *headers)), "A pier", "", None)


@pytest.fixture
async def reading(cache, clock, cleaner):
    async with local.running(Conditional()) as web:
        guard = Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),))
        async with Fetcher(guard, FetchLimits(page_seconds=2)) as fetcher:
            yield Reading(web, fetcher, Counted(cleaner), cache, clock)


def timeless(document: Document) -> Document:
    # How long it may be used is said by headers, which a recording does not hold; and this cache has limits of its own.
    return replace(document, ms=0, cached=False, fresh_seconds=None)


# Pages


async def test_a_page_read_before_is_neither_fetched_nor_cleaned(reading):
    hit = reading.page("/pier")
    first = await reading.document(hit)
    second = await reading.document(hit)
    assert (first.cached, second.cached) == (False, True)
    assert timeless(first) == timeless(second)
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (1, 1)
    assert second.bytes == len(reading.web.replies["/pier"].body)


async def test_the_cache_changes_nothing_of_a_document(reading, cleaner):
    plain_hit = reading.page("/pier", ETAG)
    untitled = replace(plain_hit, url=reading.web.page("/plain", UNTITLED))
    for hit in (plain_hit, replace(plain_hit, title="Other", date="2024-01-02"), untitled, replace(untitled, title="")):
        page = await reading.fetcher.fetch(hit)
        assert isinstance(page, Page)
        plain = await cleaner.extract(page)
        assert isinstance(plain, Document)
        for _ in range(2):
            assert timeless(await reading.document(hit)) == timeless(plain)


async def test_another_title_or_date_of_the_hit_costs_nothing(reading):
    hit = Hit(reading.web.page("/plain", UNTITLED), "One  title\x00", "", "2024-01-02")
    assert (await reading.document(hit)).title == "One title"
    again = await reading.document(replace(hit, title="Another", date=None))
    assert (again.title, again.date) == ("Another", None)
    assert reading.extractor.cleaned == 1


async def test_addresses_of_one_page_are_one(reading):
    hit = reading.page("/pier")
    await reading.read(hit)
    await reading.read(replace(hit, url=hit.url.replace("http", "HTTP") + "?utm_source=x#part"))
    assert reading.web.hits["/pier"] == 1


async def test_a_redirect_is_followed_once(reading):
    hit = reading.page("/pier")
    moved = Hit(reading.web.page("/old", b"", status=302, headers=(("Location", "/pier"),)), "Old")
    for _ in range(2):
        assert (await reading.document(moved)).url == hit.url
    assert (reading.web.hits["/old"], reading.web.hits["/pier"]) == (1, 1)


async def test_a_page_is_fetched_anew_when_its_time_is_over(reading):
    hit = reading.page("/pier", ("Cache-Control", "max-age=50"))
    await reading.read(hit)
    reading.clock.now += 49
    assert (await reading.document(hit)).cached
    reading.clock.now += 1
    changed = reading.page("/pier", text=TEXT.replace("525", "530"))
    document = await reading.document(changed)
    assert "530" in document.text
    assert not document.cached
    assert b"if-none-match" not in reading.web.heads[-1].lower()


@pytest.mark.parametrize("validator", [ETAG, ("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT")])
async def test_a_page_that_has_not_changed_comes_from_the_cache(reading, validator):
    hit = reading.page("/pier", validator, ("Cache-Control", "max-age=50"))
    first = await reading.document(hit)
    for asked_again in (1, 2):
        reading.clock.now += 60
        # Renewed, it is fresh for as long as before.
        for _ in range(2):
            again = await reading.document(hit)
            assert again.cached
            assert timeless(again) == timeless(first)
        assert reading.web.asked_again == asked_again
    assert reading.web.hits["/pier"] == 3
    assert reading.extractor.cleaned == 1


async def test_a_page_that_has_changed_is_read_anew(reading):
    await reading.read(reading.page("/pier", ETAG))
    reading.clock.now += 200
    hit = reading.page("/pier", ("ETag", '"v2"'), text=TEXT.replace("525", "530"))
    assert "530" in (await reading.document(hit)).text
    assert "530" in (await reading.document(hit)).text
    assert reading.web.asked_again == 0
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (2, 2)


async def test_the_same_bytes_are_cleaned_once(reading):
    hit = reading.page("/pier", ("Cache-Control", "private"))
    assert timeless(await reading.document(hit)) == timeless(await reading.document(hit))
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (2, 1)


async def test_a_redirect_is_asked_again_only_where_it_led(reading):
    reading.page("/pier", ETAG, ("Cache-Control", "no-cache"))
    reading.page("/jetty", text=TEXT.replace("pier", "jetty"), title="The jetty")
    moved = Hit(reading.web.page("/old", b"", status=302, headers=(("Location", "/pier"),)), "Old")
    await reading.read(moved)
    assert (await reading.document(moved)).cached
    reading.web.page("/old", b"", status=302, headers=(("Location", "/jetty"),))
    assert "jetty" in (await reading.document(moved)).text
    assert b"if-none-match" not in reading.web.heads[-1].lower()


async def test_a_site_that_says_unchanged_unasked_is_not_believed(reading):
    hit = Hit(reading.web.page("/pier", b"", status=304), "T")
    outcome = await reading.read(hit)
    assert isinstance(outcome, Skipped)


async def test_no_store_keeps_page_and_text_out(reading, path):
    hit = reading.page("/pier", ("Cache-Control", "no-store"), ETAG)
    for _ in range(2):
        assert not (await reading.document(hit)).cached
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (2, 2)
    assert reading.web.asked_again == 0


async def test_failures_are_asked_for_again(reading):
    web = reading.web
    hits = [
        Hit(web.page("/403", b"", status=403), "T"),
        Hit(web.page("/500", b"", status=500), "T"),
        Hit(web.page("/shell", b"<html><body><div id=root></div></body></html>"), "T"),
        Hit(web.page("/image", b"x", headers=(("Content-Type", "image/png"),)), "T"),
    ]
    for _ in range(2):
        for hit in hits:
            assert isinstance(await reading.read(hit), Skipped)
    assert [web.hits[path] for path in ("/403", "/500", "/shell", "/image")] == [2, 2, 2, 2]
    assert "525" in (await reading.document(reading.page("/shell"))).text


async def test_a_failed_question_whether_it_changed_is_a_failure(reading):
    await reading.read(reading.page("/pier", ETAG))
    reading.clock.now += 200
    hit = Hit(reading.web.page("/pier", b"", status=503), "T")
    outcome = await reading.read(hit)
    assert isinstance(outcome, Skipped)
    assert outcome.reason is SkipReason.SERVER_ERROR


async def test_what_one_scope_keeps_another_does_not_see(reading):
    hit = reading.page("/pier")
    for scope in (("anna",), ("boris",), ("anna",)):
        await reading.read(hit, reading.pages(scope))
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (2, 2)


async def test_another_cleaner_cleans_anew(reading):
    hit = reading.page("/pier")
    await reading.read(hit)
    await reading.read(hit, reading.pages(cleaner="2"))
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (1, 2)


async def test_files_are_not_kept(reading, tmp_path):
    page = Page(Hit("file:///own.txt", "T"), "file:///own.txt", "text/plain", None, TEXT.encode(), 1)
    for _ in range(2):
        assert isinstance(await reading.pages().extract(page), Document)
    assert reading.extractor.cleaned == 2


async def test_many_at_once(reading):
    hits = [reading.page(f"/{number}", text=TEXT + str(number)) for number in range(10)]
    found: list[Document] = []

    async def read(hit: Hit, pages: CachedPages) -> None:
        found.append(await reading.document(hit, pages))

    for _ in range(2):
        pages = reading.pages()
        async with anyio.create_task_group() as tasks:
            for hit in hits * 3:
                tasks.start_soon(read, hit, pages)
    assert len({document.text for document in found}) == 10
    assert sum(document.cached for document in found) >= 30


async def test_what_cannot_be_read_is_a_miss(reading):
    hit = reading.page("/pier")
    await reading.read(hit)
    pages = reading.pages()
    for bad in (b"", b"\x00" * 10, _deflated(b"\x00\x00\x00\x02{}body"), _deflated(b"[" * 10_000)):
        await anyio.to_thread.run_sync(reading.cache.put_many, {pages._page_key(hit): bad}, 60)
        document = await reading.document(hit, pages)
        assert not document.cached
        assert "525" in document.text


async def test_a_large_page_is_not_kept(reading):
    pages = reading.pages()
    pages._limits = replace(LIMITS, entry_bytes=100)
    hit = reading.page("/pier")
    for _ in range(2):
        assert not (await reading.document(hit, pages)).cached
    assert (reading.web.hits["/pier"], reading.extractor.cleaned) == (2, 1)


async def test_a_recording_holds_what_came_from_the_cache(reading, tmp_path, cleaner):
    hit = reading.page("/pier")
    first = await reading.document(hit)
    async with Recorder(tmp_path / "run.zip") as recorder:
        pages = reading.pages()
        page = await recorder.fetcher(pages).fetch(hit)
        assert isinstance(page, Page)
        assert page.cached
        recorded = await pages.extract(page)
    async with Replay(tmp_path / "run.zip", RecordingLimits()) as recording:
        page = await recording.fetch(hit)
        assert isinstance(page, Page)
        replayed = await cleaner.extract(page)
    assert isinstance(recorded, Document)
    assert isinstance(replayed, Document)
    assert timeless(first) == timeless(recorded) == timeless(replayed)


def test_a_bomb_is_not_unpacked():
    with pytest.raises(ValueError, match="too large"):
        _inflated(_deflated(bytes(10_000_000)), replace(LIMITS, unpacked_bytes=1_000_000))


# Searches


@dataclass
class Engine:
    """An engine of scripted result pages; None fails."""

    pages: dict[int, tuple[Hit, ...] | None]
    name: str = "scripted"
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        self.asked.append((query.text, page))
        await anyio.lowlevel.checkpoint()
        hits = self.pages.get(page, ())
        if hits is None:
            raise EngineError("answered 429")
        return hits


HIT = Hit("https://a.example/1", "Пирс \ud83d", "снимок", "2024-02-03")
PIER = Query("pier", "en", SearchFilters(domains=("a.example",)))


async def test_a_search_is_asked_once_an_hour(cache, clock):
    engine = Engine({1: (HIT, replace(HIT, date=None)), 2: (), 3: None})
    cached = CachedEngine(engine, cache, LIMITS, ("everybody",))
    assert cached.name == "scripted"
    for _ in range(2):
        (first, second) = await cached.search(PIER, 1)
        assert (first.url, first.snippet, first.date, second.date) == (HIT.url, HIT.snippet, HIT.date, None)
        assert await cached.search(PIER, 2) == ()
        with pytest.raises(EngineError):
            await cached.search(PIER, 3)
    assert engine.asked == [("pier", 1), ("pier", 2), ("pier", 3), ("pier", 3)]
    clock.now += LIMITS.search_seconds
    await cached.search(PIER, 1)
    assert engine.asked[4:] == [("pier", 1)]


async def test_no_result_at_all_is_asked_again(cache):
    engine = Engine({})
    for _ in range(2):
        assert await CachedEngine(engine, cache, LIMITS, ()).search(PIER, 1) == ()
    assert len(engine.asked) == 2


async def test_a_page_that_lacks_something_is_asked_again(cache):
    engine = Engine({1: PartialPage((HIT,))})
    for _ in range(2):
        assert await CachedEngine(engine, cache, LIMITS, ()).search(PIER, 1) == (HIT,)
    assert len(engine.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        Query("peer", "en", PIER.filters),
        Query("pier", None, PIER.filters),
        Query("pier", "en"),
        Query("pier", "en", replace(PIER.filters, after="2024-01-01")),
    ],
)
async def test_another_search_is_another(cache, other):
    engine = Engine({1: (HIT,)})
    cached = CachedEngine(engine, cache, LIMITS, ())
    for query in (PIER, other, PIER, other):
        await cached.search(query, 1)
    assert len(engine.asked) == 2


async def test_searches_of_other_scopes_and_engines_are_not_seen(cache):
    engines = [Engine({1: (HIT,)}), Engine({1: (HIT,)}, "other"), Engine({1: (HIT,)})]
    scopes = [("anna",), ("anna",), ("boris",)]
    for engine, scope in zip(engines, scopes, strict=True):
        await CachedEngine(engine, cache, LIMITS, scope).search(PIER, 1)
    assert [len(engine.asked) for engine in engines] == [1, 1, 1]


async def test_a_search_for_the_last_day_is_remembered_for_minutes(cache, clock):
    engine = Engine({1: (HIT,)})
    cached = CachedEngine(engine, cache, LIMITS, ())
    query = Query("pier", "en", SearchFilters(recency="day"))
    await cached.search(query, 1)
    clock.now += LIMITS.recent_search_seconds - 1
    await cached.search(query, 1)
    assert len(engine.asked) == 1
    clock.now += 1
    await cached.search(query, 1)
    assert len(engine.asked) == 2


def test_the_users_own_files_are_not_remembered(cache):
    remembering = Remembering(cache, Settings(), "1")
    for name in ("local", "sample"):
        engine = Engine({}, name)
        assert remembering.engine(engine) is engine
    assert isinstance(remembering.engine(Engine({})), CachedEngine)


@given(st.lists(st.builds(Hit, st.text(), st.text(), st.text(), st.none() | st.text())).map(tuple))
def test_any_hits_come_back(hits):
    assert HITS.validate_json(_inflated(_deflated(_json(HITS, hits)), LIMITS)) == hits


# Vectors


@dataclass
class CountedEmbedder(HashingEmbedder):
    """The hashing embedder, and what it was asked."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        self.asked.append(texts)
        return super().embed(texts, kind)


def test_a_text_is_embedded_once(cache):
    embedder = CountedEmbedder()
    cached = CachedEmbedder(embedder, cache, LIMITS, "hashing")
    texts = ("pier", "jetty", "pier", "мост")
    plain = HashingEmbedder().embed((*texts, "new"), "passage")
    assert np.array_equal(cached.embed(texts, "passage"), plain[:4])
    assert np.array_equal(cached.embed((*texts, "new"), "passage"), plain)
    assert np.array_equal(cached.embed(texts[::-1], "passage"), plain[3::-1])
    assert embedder.asked == [("pier", "jetty", "мост"), ("new",)]
    assert (cached.dimensions, cached.unrelated_below) == (256, None)
    assert cached.embed((), "passage").shape == (0, 256)


def test_vectors_can_be_written_to_and_are_float32(cache):
    vectors = CachedEmbedder(HashingEmbedder(), cache, LIMITS, "hashing").embed(("pier",), "query")
    vectors *= 2
    assert vectors.dtype == np.float32


def test_kinds_and_models_do_not_mix(cache):
    embedder = CountedEmbedder()
    for model, kind in (("a", "query"), ("a", "passage"), ("b", "query")):
        CachedEmbedder(embedder, cache, LIMITS, model).embed(("pier",), kind)
    assert len(embedder.asked) == 3


def test_a_vector_of_the_wrong_length_is_a_miss(cache):
    cache.put_many({key("vector", "1", "m", "query", "pier"): b"\x00" * 12}, 60)
    embedder = CountedEmbedder()
    vectors = CachedEmbedder(embedder, cache, LIMITS, "m").embed(("pier",), "query")
    assert np.array_equal(vectors, HashingEmbedder().embed(("pier",), "query"))
    assert embedder.asked == [("pier",)]


# By the settings


async def emit(event) -> None:
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def served():
    """Run a web of piers with a search engine over it, and settings for it."""
    async with local.running(Searched()) as web:
        for number in range(6):
            name = f"pier number {number}"
            web.page(f"/{number}", local.article(name, f"The structure called {name} is {500 + number} m long. " * 4))
        given = {"searxng_url": web.base, "allow_nets": (f"127.0.0.1/32:{web.port}",), "embedder": "hashing"}
        yield web, Settings(search=("searxng",), embedded_model="echo", **given)


async def asked(settings: Settings, text: str = "How long is pier number 3?"):
    async with open_tools(settings) as tools:
        question = Question((Message("user", text),))
        return await pipeline.read(question, unaided(question), tools, emit)


async def twice(web, settings):
    first = await asked(settings)
    hits = web.hits.total()
    second = await asked(settings)
    return first, second, web.hits.total() - hits


async def test_the_second_question_needs_no_network_even_after_a_restart(path):
    async with served() as (web, settings):
        first, second, new = await twice(web, settings.model_copy(update=cache_at(str(path))))
    assert new == 0
    assert first.context.text == second.context.text
    assert (first.coverage.cached, second.coverage.cached) == (0, 6)
    body = coverage_body(second.coverage)
    assert body["cached"] == 6
    assert all(page["cached"] for page in body["pages"])
    assert "6 read (6 from the cache)" in coverage_line(body)


async def test_a_run_over_the_cache_is_recorded_whole_and_replayed_without_it(tmp_path):
    kept, run, shown, again = tmp_path / "kept" / "cache.sqlite", tmp_path / "run.zip", io.StringIO(), io.StringIO()
    async with served() as (web, given):
        settings = given.model_copy(update=cache_at(str(kept)))
        question = "How long is pier number 3?"
        await asked(settings, question)
        hits = web.hits.total()
        assert await record(settings, open_tools, run, question, "wellread", screen(shown)) == 0
        assert web.hits.total() == hits
    assert "6 read (6 from the cache)" in shown.getvalue()
    await anyio.to_thread.run_sync(shutil.rmtree, kept.parent)
    assert await replay(settings, open_tools, run, screen(again)) == 0
    assert "The context is byte for byte the recorded one." in again.getvalue()
    assert not kept.parent.exists()


async def test_without_a_cache_everything_is_asked_again():
    async with served() as (web, settings):
        _, second, new = await twice(web, settings.model_copy(update=cache_at("off")))
    assert new >= 7
    assert second.coverage.cached == 0
    assert "cache" not in coverage_line(coverage_body(second.coverage))


async def test_replicas_share_a_redis():
    with redis_server() as port:
        async with served() as (web, settings):
            _, second, new = await twice(web, settings.model_copy(update=cache_at(f"redis://127.0.0.1:{port}/0")))
    assert new == 0
    assert second.coverage.cached == 6


async def test_a_redis_that_goes_away_fails_no_question(caplog):
    caplog.set_level(logging.WARNING)
    async with served() as (web, settings):
        with redis_server() as port:
            opening = open_tools(settings.model_copy(update=cache_at(f"redis://127.0.0.1:{port}/0")))
            tools = await opening.__aenter__()
            question = Question((Message("user", "How long is pier number 3?"),))
            await pipeline.read(question, unaided(question), tools, emit)
            store = tools.fetcher._cache._store
        await anyio.to_thread.run_sync(store._redis.connection_pool.disconnect)
        hits = web.hits.total()
        reading = await pipeline.read(question, unaided(question), tools, emit)
        await opening.__aexit__(None, None, None)
    assert (reading.coverage.read, reading.coverage.cached) == (6, 0)
    assert web.hits.total() > hits
    (told,) = (record.getMessage() for record in caplog.records if "the cache" in record.getMessage())
    assert "cannot be read" in told


async def test_what_may_be_fetched_no_longer_is_not_in_the_cache(path):
    async with served() as (_, settings):
        kept = cache_at(str(path))
        await asked(settings.model_copy(update=kept))
        reading = await asked(settings.model_copy(update=kept | {"allow_nets": ("127.0.0.1/32:1",)}))
    assert reading.coverage.read == 0
    assert reading.coverage.skipped == {"blocked_address": 6}


async def test_the_check_of_an_engine_asks_the_engine(path):
    async with served() as (web, settings):
        for _ in range(2):
            checked = await search(Parts(settings.model_copy(update=cache_at(str(path)))))
            assert {found.state for found in checked} == {"ok"}
    assert sum(count for target, count in web.hits.items() if target.startswith("/search?")) >= 2


@pytest.mark.parametrize("where", ["mongodb://s3cret@host", "memory", "sqlite+x://s3cret", "redis://:s3cret@[", ""])
async def test_a_place_that_is_none_stops_the_start(where):
    with pytest.raises(BadSettings, match=r"^WELLREAD_CACHE: ") as caught:
        await asked(Settings(search=("sample",), cache=where))
    assert "s3cret" not in str(caught.value)


async def test_a_file_that_is_no_cache_stops_the_start(tmp_path):
    (tmp_path / "notes.txt").write_text("my notes " * 100)
    with pytest.raises(BadSettings, match=r"WELLREAD_CACHE: .*notes\.txt: .*not a database.*or set it to off"):
        await asked(Settings(search=("sample",), cache=f"sqlite://{tmp_path / 'notes.txt'}"))


async def test_the_default_is_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    async with open_tools(Settings(search=("ddgs",), embedder="none", embedded_model="echo", cache="sqlite")):
        assert (tmp_path / "wellread" / "cache.sqlite").exists()


def cache_at(where: str) -> dict[str, object]:
    return {"cache": Settings(cache=where).cache}
