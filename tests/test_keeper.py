"""What stands before the web and the embedder, what keeps, and the engine: each over a memory on disk."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import anyio
import anyio.to_thread
import numpy as np
import pytest

from retrieval.chunk import chunk
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.engines.memory import MemoryEngine, telling
from retrieval.errors import EmbedderUnavailable, EngineError, MemoryUnavailable
from retrieval.limits import ChunkLimits, MemoryLimits
from retrieval.memories.disk import DiskMemory
from retrieval.memory import TolerantMemory
from retrieval.rank import TextKind, Vectors, headed
from retrieval.remembering import Keeper, RememberedEmbedder, RememberedPages
from retrieval.types import Document, Hit, Query, SearchFilters, Skipped, SkipReason
from retrieval.words import stems
from tests.test_memory import DAY, Clock, asked, document, read_page

pytestmark = pytest.mark.anyio
LIMITS = MemoryLimits(idle_seconds=0.0, close_seconds=5.0)
LONG = "\n\n".join(f"Paragraph {number} tells of the arch number {number}. " * 12 for number in range(30))


@dataclass
class Site:
    """A fetcher whose only page can be down."""

    outcome: Document | Skipped
    asked: list[str] = field(default_factory=list)

    async def fetch(self, hit: Hit) -> Document | Skipped:
        self.asked.append(hit.url)
        await anyio.lowlevel.checkpoint()
        return self.outcome


@dataclass
class Counting:
    """The hashing embedder, counted; or one that fails."""

    fails: bool = False
    floor: float | None = None
    texts: list[str] = field(default_factory=list)

    dimensions = 256

    @property
    def unrelated_below(self) -> float | None:
        return self.floor

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        if self.fails:
            raise EmbedderUnavailable("down")
        self.texts += texts
        return HashingEmbedder().embed(texts, kind)


@pytest.fixture
def clock():
    return Clock()


class Aside:
    """A store whose methods run in a thread: what a test itself asks of it must not block the loop either."""

    def __init__(self, store: DiskMemory) -> None:
        self.itself, self._pool = store, ThreadPoolExecutor(1)

    def __getattr__(self, name):
        return lambda *arguments: self._pool.submit(getattr(self.itself, name), *arguments).result()

    def run(self, statement: str) -> list[tuple]:
        return self._pool.submit(lambda: self.itself._writer.execute(statement).fetchall()).result()


@pytest.fixture
def store(tmp_path, clock):
    store = DiskMemory(tmp_path, "space", LIMITS, clock)
    yield Aside(store)
    store.close()


@pytest.fixture
def memory(store, clock):
    return TolerantMemory(store.itself, LIMITS, clock)


def vectors_of(page: Document) -> Mapping[str, Vectors]:
    texts = tuple(headed(passage) for passage in chunk(page, ChunkLimits()))
    return dict(zip(texts, HashingEmbedder().embed(texts, "passage"), strict=True))


@pytest.mark.parametrize(("age", "fetched"), [(599.0, False), (601.0, True)])
async def test_a_page_is_given_unasked_as_long_as_its_site_lets(store, memory, clock, age, fetched):
    store.keep([read_page(document("Zazil"), 1_000.0)])
    clock.now = 1_000.0 + age
    site = Site(document("Zazil", "Something newer is said of the bridge called Zazil on this page now."))
    found = await RememberedPages(site, memory, LIMITS, clock).fetch(Hit(document("Zazil").url, "any"))
    assert bool(site.asked) is fetched
    assert found.text == (site.outcome if fetched else document("Zazil")).text
    assert found.cached is not fetched


@pytest.mark.parametrize(
    ("reason", "given"),
    [
        (SkipReason.NETWORK_ERROR, True),
        (SkipReason.TIMEOUT, True),
        (SkipReason.SERVER_ERROR, True),
        (SkipReason.NOT_FOUND, False),
        (SkipReason.FORBIDDEN, False),
        (SkipReason.ROBOTS, False),
        (SkipReason.BLOCKED_ADDRESS, False),
    ],
)
async def test_an_older_page_is_given_where_its_site_is_down_and_only_there(store, memory, clock, reason, given):
    store.keep([read_page(document("Zazil"), 1_000.0)])
    clock.now = 1_000.0 + 10 * DAY
    hit = Hit(document("Zazil").url, "any")
    found = await RememberedPages(Site(Skipped(hit.url, reason)), memory, LIMITS, clock).fetch(hit)
    assert isinstance(found, Document) is given


async def test_what_its_site_wants_asked_for_each_time_is_never_given(store, memory, clock):
    page = replace(document("Zazil"), fresh_seconds=0.0)
    store.keep([read_page(page, 1_000.0)])
    clock.now = 1_001.0
    hit = Hit(page.url, "any")
    outcome = Skipped(page.url, SkipReason.TIMEOUT)
    assert await RememberedPages(Site(outcome), memory, LIMITS, clock).fetch(hit) == outcome


def test_what_is_known_is_not_embedded(store, memory):
    store.keep([read_page(document("Zazil"))])
    below = Counting()
    embedder = RememberedEmbedder(below, memory, LIMITS)
    known = headed(chunk(document("Zazil"), ChunkLimits())[0])
    found = embedder.embed(("new", known, "new"), "passage")
    assert below.texts == ["new"]
    np.testing.assert_array_equal(found, HashingEmbedder().embed(("new", known, "new"), "passage"))
    for _ in range(2):
        np.testing.assert_array_equal(embedder.embed(("why",), "query"), HashingEmbedder().embed(("why",), "query"))
    assert below.texts == ["new", "why"]
    assert embedder.embed((), "passage").shape == (0, 256)


async def until(tried) -> None:
    with anyio.fail_after(20):
        while not await anyio.to_thread.run_sync(tried):  # noqa: ASYNC110 - a thread's work has no event
            await anyio.sleep(0.01)


async def test_what_is_noted_is_kept_and_what_lacks_is_computed_while_nobody_asks(store, memory, clock):
    page, embedder = document("Zazil", LONG), Counting()
    some = dict(list(vectors_of(page).items())[:3])
    idle = False
    limits = replace(LIMITS, idle_seconds=0.05, passages_a_page=9)
    async with Keeper(memory, embedder, lambda: 1.0 if idle else 0.0, limits, lambda url: True, clock) as keeper:
        keeper.note([page], some)
        await until(lambda: store.page(page.url) is not None)
        assert len(store.all_vectors()[0]) == 3
        assert not store.page(page.url).whole
        assert embedder.texts == []
        idle = True
        await until(lambda: store.page(page.url).whole)
    assert len(embedder.texts) == 6
    assert store.vectors(list(vectors_of(page))).keys() == set(list(vectors_of(page))[:9])
    assert store.page(page.url).read_at == clock.now


async def test_a_page_that_came_from_the_memory_keeps_its_age_and_gains_vectors(store, memory, clock):
    page = document("Zazil", LONG)
    async with Keeper(
        memory, Counting(), lambda: 0.0, replace(LIMITS, idle_seconds=9.0), lambda url: True, clock
    ) as keeper:
        keeper.note([page], {})
        await until(lambda: store.page(page.url) is not None)
        clock.now += 60.0
        keeper.note([replace(page, cached=True)], vectors_of(page))
        await until(lambda: store.page(page.url).whole)
        unknown = document("Morwen")
        keeper.note([replace(unknown, cached=True)], vectors_of(unknown))
    assert store.page(page.url).read_at == clock.now - 60.0
    assert not store.page(page.url).document.cached
    # When that one was fetched is not known.
    assert store.page(unknown.url) is None


async def test_only_what_may_be_kept_is(store, memory, clock):
    async with Keeper(memory, Counting(), lambda: 0.0, LIMITS, lambda url: "zazil" not in url, clock) as keeper:
        pages = [document("Zazil"), replace(document("Morwen"), fresh_seconds=None), document("Orsk")]
        keeper.note(pages, {})
    assert [store.page(page.url) is not None for page in pages] == [False, False, True]


async def test_what_is_too_much_to_keep_is_left_and_said(store, memory, clock, caplog):
    limits = replace(LIMITS, waiting=3)
    async with Keeper(memory, Counting(), lambda: 0.0, limits, lambda url: True, clock) as keeper:
        keeper.note([document(f"n{number}") for number in range(10)], {})
    kept = [number for number in range(10) if store.page(document(f"n{number}").url)]
    assert kept == [0, 1, 2]
    assert caplog.text.count("more is read than the memory can keep") == 1


async def test_an_embedder_that_is_down_ends_the_idle_work_and_no_more(store, memory, clock):
    async with Keeper(memory, Counting(fails=True), lambda: 9.0, LIMITS, lambda url: True, clock) as keeper:
        keeper.note([document("Zazil")], {})
        await until(lambda: store.page(document("Zazil").url) is not None)
        keeper.note([document("Morwen")], {})
        await until(lambda: store.page(document("Morwen").url) is not None)


def engine(memory, embedder=None) -> MemoryEngine:
    return MemoryEngine(memory, embedder or Counting(), LIMITS)


async def test_the_engine_finds_by_vectors_and_by_words_and_tells_of_no_second_page(store, memory):
    bare = replace(read_page(document("Morwen", "The bridge called Morwen carries trams over a gorge.")), passages=())
    store.keep([read_page(document("Zazil")), read_page(document("Orsk")), bare])
    found = await engine(memory).search(Query("trams over the gorge at Morwen"), 1)
    assert "On Morwen" in {hit.title for hit in found[:2]}  # found by its words alone
    assert len(found) == 3
    assert await engine(memory).search(Query("Zazil"), 2) == ()


async def test_what_the_embedder_calls_unrelated_is_no_result(store, memory):
    store.keep([read_page(document("Zazil"))])
    near = store.near(asked("a bridge of stone called Zazil"), 1)[0].cosine
    related, unrelated = Counting(floor=near - 0.01), Counting(floor=near + 0.01)
    assert len(await engine(memory, related).search(Query("a bridge of stone called Zazil"), 1)) == 1
    assert len(await engine(memory, unrelated).search(Query("a bridge of stone called Zazil"), 1)) == 1  # by its words
    assert await engine(memory, Counting(floor=0.99)).search(Query("stone quarries in Wales and in Cornwall"), 1) == ()


@pytest.mark.parametrize(
    ("filters", "titles"),
    [
        (SearchFilters(), {"On Zazil", "On Morwen", "On Orsk"}),
        (SearchFilters(domains=("zazil.example",)), {"On Zazil"}),
        (SearchFilters(excluded_domains=("zazil.example",)), {"On Morwen", "On Orsk"}),
        (SearchFilters(after="2024-01-01"), {"On Zazil"}),
        (SearchFilters(before="2024-01-01"), {"On Morwen"}),
        (SearchFilters(recency="day"), set()),
    ],
)
async def test_filters_hold_and_what_has_no_day_passes_none_that_ask_for_one(store, memory, filters, titles):
    pages = [document("Zazil", date="2024-05-01"), document("Morwen", date="2023-05-01"), document("Orsk")]
    store.keep([read_page(page) for page in pages])
    found = await engine(memory).search(Query("the bridge called by its town", filters=filters), 1)
    assert {hit.title for hit in found} == titles


async def test_without_an_embedder_words_find_and_the_report_says_so(store, memory):
    store.keep([read_page(document("Zazil"))])
    found = await engine(memory, Counting(fails=True)).search(Query("the bridge called Zazil"), 1)
    assert [hit.title for hit in found] == ["On Zazil"]
    assert "by words only" in found.note


async def test_a_memory_that_fails_is_an_engine_that_fails_is_left_alone_and_recovers(store, clock, caplog):
    clock.now = 0.0
    memory = TolerantMemory(store.itself, LIMITS, clock)
    store.keep([read_page(document("Zazil"), 0.0)])
    store.run("ALTER TABLE words RENAME TO lost")
    with pytest.raises(EngineError, match="cannot be read now"):
        await engine(memory).search(Query("Zazil"), 1)
    assert memory.trouble == "cannot be read"
    assert await anyio.to_thread.run_sync(memory.page, document("Zazil").url) is None
    store.run("ALTER TABLE lost RENAME TO words")
    with pytest.raises(MemoryUnavailable, match="left alone"):
        await anyio.to_thread.run_sync(memory.sharing, ["zazil"], 1)
    clock.now = LIMITS.retry_seconds
    assert len(await engine(memory).search(Query("Zazil"), 1)) == 1
    assert memory.trouble is None
    assert caplog.text.count("the memory cannot be read") == 1
    assert caplog.text.count("the memory can be read again") == 1


async def test_a_full_disk_is_told_of_and_what_lies_on_it_is_still_searched(store, memory):
    store.keep([read_page(document("Zazil"))])
    ((pages_now,),) = store.run("PRAGMA page_count")
    store.run(f"PRAGMA max_page_count={pages_now}")
    pages = [read_page(document(f"n{number}", LONG)) for number in range(20)]
    await anyio.to_thread.run_sync(memory.keep, pages)
    assert memory.trouble == "cannot be written"
    assert len(await engine(memory).search(Query("Zazil"), 1)) == 1


def test_what_tells_little_is_not_asked_for():
    assert telling(stems("Who is it that built the 5 arches of Zazil in 17?", "en")) == [
        *("who", "that", "built", "the", "5", "arch", "zazil", "17"),
    ]
    assert telling(["of", "it"]) == ["of", "it"]
    assert telling(stems("東京の橋", "ja")) == ["東京", "京の", "の橋"]
