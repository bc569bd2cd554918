import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import EngineError, RecordingError, SearchFailed
from retrieval.limits import RecordingLimits, SearchLimits
from retrieval.recording import Recorder, Replay
from retrieval.search import search
from retrieval.types import Hit, Page, Query, SearchFilters, Skipped, SkipReason

pytestmark = pytest.mark.anyio
LIMITS = RecordingLimits(stall_seconds=0.2)
QUERY = Query("pier", "en", SearchFilters(domains=("a.example",), recency="year", after="2024-01-01"))
HIT = Hit("https://a.example/1", "T", "снимок", "2024-02-03")


@dataclass
class Scripted:
    """An engine whose result pages take their time, fail (None) or hang."""

    name: str
    pages: list[tuple[float, tuple[Hit, ...] | None]]
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        self.asked.append((query.text, page))
        delay, hits = self.pages[page - 1] if page <= len(self.pages) else (0.0, ())
        await anyio.sleep(delay)
        if hits is None:
            raise EngineError("answered 429")
        return tuple(replace(hit, url=f"{hit.url}/{query.text}") for hit in hits)


class Web:
    """A fetcher of scripted outcomes."""

    def __init__(self, **outcomes: Page | Skipped | float) -> None:
        self.outcomes = outcomes

    async def fetch(self, hit: Hit) -> Page | Skipped:
        outcome = self.outcomes[hit.url[-1]]
        if isinstance(outcome, float):
            await anyio.sleep(outcome)
            raise AssertionError("nobody waits so long")
        return outcome


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run.zip"


async def test_searches_come_again_as_they_came(path):
    engine = Scripted("one", [(0.0, (HIT, replace(HIT, title="\ud800", date=None))), (0.0, None)])
    async with Recorder(path) as recorder:
        recorded = recorder.engine(engine)
        hits = await recorded.search(QUERY, 1)
        with pytest.raises(EngineError, match="answered 429"):
            await recorded.search(QUERY, 2)
    async with Replay(path, LIMITS) as replay:
        (replayed,) = replay.engines
        assert replayed.name == "one"
        assert await replayed.search(QUERY, 1) == (hits[0], replace(hits[1], title="?"))
        with pytest.raises(EngineError, match="answered 429"):
            await replayed.search(QUERY, 2)
        assert await replayed.search(QUERY, 3) == ()


async def test_pages_come_again_as_they_came(path):
    hits = {name: Hit(f"https://a.example/{name}", "T") for name in "bflpw"}
    page = Page(hits["p"], "https://b.example/p", "text/html", "windows-1251", b"\xff\x00", 7)
    skipped = Skipped(hits["f"].url, SkipReason.FORBIDDEN, "status 403", 403, 5)
    web = Web(p=page, f=skipped, l=30.0, b=replace(page, hit=hits["b"]))
    engine = Scripted("one", [(0.0, tuple(hits.values()))])
    async with Recorder(path) as recorder:
        await recorder.engine(engine).search(Query(""), 1)
        fetcher = recorder.fetcher(web)
        assert await fetcher.fetch(hits["p"]) == page
        assert await fetcher.fetch(hits["f"]) == skipped
        await fetcher.fetch(hits["b"])
        with anyio.move_on_after(0.01):
            await fetcher.fetch(hits["l"])
        settled = {hits["l"].url: SkipReason.LATE, hits["b"].url: SkipReason.DUPLICATE, hits["p"].url: SkipReason.EMPTY}
        recorder.settle(settled)
        await recorder.add("note.txt", b"hello")
    async with Replay(path, LIMITS) as replay:
        assert await replay.fetch(hits["p"]) == replace(page, ms=0)
        assert await replay.fetch(hits["f"]) == skipped
        for name, reason in (("l", SkipReason.LATE), ("b", SkipReason.DUPLICATE)):
            outcome = await replay.fetch(hits[name])
            assert isinstance(outcome, Skipped)
            assert outcome.reason is reason
        assert await replay.member("note.txt") == b"hello"


async def test_what_is_not_in_the_recording_is_named(path):
    async with Recorder(path) as recorder:
        await recorder.engine(Scripted("one", [(0.0, (HIT,))])).search(Query("pier"), 1)
    async with Replay(path, LIMITS) as replay:
        with pytest.raises(SearchFailed, match="one: not in the recording: the query 'jetty' to one"):
            await search([Query("jetty")], replay.engines, SearchLimits())
        with pytest.raises(RecordingError, match=r"not in the recording: the page https://c\.example/"):
            await replay.fetch(Hit("https://c.example/", "T"))
        outcome = await replay.fetch(Hit(HIT.url + "/pier", "T"))
        assert isinstance(outcome, Skipped)
        assert outcome.reason is SkipReason.LATE
        with pytest.raises(RecordingError, match=r"no sound run\.json"):
            await replay.member("run.json")


async def test_a_run_that_failed_leaves_a_recording(path):
    with pytest.raises(SearchFailed):
        async with Recorder(path) as recorder:
            await search([QUERY], [recorder.engine(Scripted("one", [(0.0, None)]))], SearchLimits())
    async with Replay(path, LIMITS) as replay:
        with pytest.raises(SearchFailed, match="one: answered 429"):
            await search([QUERY], replay.engines, SearchLimits())


async def test_a_query_too_few_stalls_nobody_for_long(path):
    engine = Scripted("one", [(0.0, (HIT,))])
    async with Recorder(path) as recorder:
        recorded = recorder.engine(engine)
        await recorded.search(Query("first"), 1)
        await recorded.search(Query("second"), 1)
    async with Replay(path, LIMITS) as replay:
        with pytest.raises(EngineError, match="other searches than the recorded one"):
            await replay.engines[0].search(Query("second"), 1)


async def test_files_that_are_no_recording(tmp_path):
    other, torn = tmp_path / "other.zip", tmp_path / "torn.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("index.json", '{"format": 2}')
    torn.write_bytes(b"PK\x03\x04")
    for path in (other, torn):
        with pytest.raises(RecordingError, match="is not a recording of this version"):
            await Replay(path, LIMITS).__aenter__()
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        await Replay(tmp_path / "none.zip", LIMITS).__aenter__()
    with pytest.raises(RecordingError, match="cannot be written: No such file"):
        await Recorder(tmp_path / "none" / "run.zip").__aenter__()


async def test_no_file_of_a_recording_is_unpacked_beyond_measure(path):
    async with Recorder(path) as recorder:
        await recorder.add("bomb", b"0" * 2_000)
    async with Replay(path, replace(LIMITS, file_bytes=1_000)) as replay:
        with pytest.raises(RecordingError, match="bomb is larger than 1000 bytes"):
            await replay.member("bomb")


async def test_equal_runs_give_equal_files(tmp_path):
    for name in ("a", "b"):
        async with Recorder(tmp_path / name) as recorder:
            await recorder.engine(Scripted("one", [(0.0, (HIT,))])).search(QUERY, 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def numbered(start: int, end: int) -> tuple[Hit, ...]:
    return tuple(Hit(f"https://a.b/{number}", "T") for number in range(start, end))


async def test_what_came_late_comes_late_again(path):
    """The quick engine was asked for more only because the slow one had not answered yet."""
    quick = Scripted("quick", [(0.0, numbered(0, 2)), (0.0, numbered(2, 4)), (0.0, numbered(4, 6))])
    slow = Scripted("slow", [(0.1, numbered(10, 20))])
    limits = SearchLimits(wanted=6, result_pages=3)
    async with Recorder(path) as recorder:
        engines = [recorder.engine(quick), recorder.engine(slow)]
        recorded = await search([Query("pier")], engines, limits)
    assert len(quick.asked) == 3
    async with Replay(path, LIMITS) as replay:
        assert (await search([Query("pier")], replay.engines, limits)).hits == recorded.hits
    assert len(recorded.hits) == 16


PAGES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.003, 0.006, 0.03]),
        st.one_of(
            st.none(),
            st.lists(st.integers(0, 30), max_size=6).map(lambda ns: tuple(Hit(f"https://a.b/{n}", "T") for n in ns)),
        ),
    ),
    max_size=5,
)


async def found(engines, texts: list[str], limits: SearchLimits) -> object:
    try:
        found = await search([Query(text) for text in texts], engines, limits)
    except SearchFailed:
        return None
    return found.hits


@settings(max_examples=40)
@given(st.lists(PAGES, min_size=1, max_size=3), st.integers(1, 2), st.integers(1, 25))
def test_a_replayed_search_finds_the_same_in_the_same_order(engines, queries, wanted):
    limits = SearchLimits(wanted=wanted, result_pages_at_once=2, engine_seconds=0.02)
    texts = [f"q{number}" for number in range(queries)]

    async def twice() -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run.zip"
            async with Recorder(path) as recorder:
                scripted = [recorder.engine(Scripted(f"e{n}", pages)) for n, pages in enumerate(engines)]
                first = await found(scripted, texts, limits)
            async with Replay(path, RecordingLimits()) as replay:
                assert await found(replay.engines, texts, replace(limits, engine_seconds=10)) == first

    anyio.run(twice)
