"""The engine local: which files are read, how they are found, and what becomes of them on the way to an answer."""

import logging
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from agent import pipeline
from agent.build import files_searched, open_tools
from agent.cite import CitationReader
from agent.errors import BadSettings
from agent.plan import unaided
from agent.settings import Settings
from agent.types import Message, Question, Source
from retrieval.engines.local import LocalEngine
from retrieval.engines.local_index import FileIndex, indexed
from retrieval.engines.snippet import snippet
from retrieval.errors import EngineError
from retrieval.limits import LocalLimits
from retrieval.local_files import LocalFile, LocalFolder, RoutedFetcher
from retrieval.search import fuse
from retrieval.types import Document, Hit, Page, Passage, Query, Ranked, SearchFilters, Skipped
from tests.pdfs import column, pdf
from tests.web import article

pytestmark = pytest.mark.anyio
LIMITS = LocalLimits(rescan_seconds=0.0)
OAK = "The pier was built of oak in 1890 and is eighty meters long. Its warranty ended long ago."
PUMP = "The Acme X200 pump has a warranty of three years from the day of its purchase by the first owner."
HARBOR = "Причал построен из дуба в 1890 году, его длина восемьдесят метров, ремонт причалов был в мае."


def fill(root: Path) -> Path:
    (root / "manuals").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "pier.md").write_text(f"# The pier\n\n{OAK}\n")
    (root / "manuals" / "pump manual.txt").write_text(f"Pump\n\n{PUMP}\n")
    (root / "manuals" / "причал.txt").write_bytes(HARBOR.encode("cp1251"))
    (root / "page.html").write_bytes(article("The lighthouse", "The lighthouse has a lamp of ninety watts. " * 8))
    lines = ("The crane lifts forty tons, and it was painted yellow by the", "harbor master in the spring of 1954.")
    (root / "crane.PDF").write_bytes(pdf(column(*lines), info={"Title": "The crane"}))
    (root / ".hidden.md").write_text("hidden " * 50)
    (root / ".git" / "notes.md").write_text("hidden " * 50)
    (root / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "outside.md").write_text("outside " * 50)
    return fill(tmp_path / "own files")


@pytest.fixture
def folder(root) -> LocalFolder:
    return LocalFolder(root, LIMITS)


async def opened(root: Path, **limits) -> LocalFolder:
    return await anyio.to_thread.run_sync(LocalFolder, root, replace(LIMITS, **limits))


async def names(folder: LocalFolder) -> list[str]:
    files = await anyio.to_thread.run_sync(lambda: list(folder.files()))
    return [str(file.path.relative_to(folder.root)) for file in files]


# Which files are read


async def test_files_of_known_kinds_are_listed(folder):
    assert sorted(await names(folder)) == sorted(
        ["crane.PDF", "page.html", "pier.md", "manuals/pump manual.txt", "manuals/причал.txt"]
    )


async def test_links_that_lead_outside_are_not_followed(root, folder):
    before = await names(folder)
    outside = {
        "link.md": root.parent / "outside.md",
        "link": root.parent,
        "loop.md": root / "loop.md",
        "hidden.md": root / ".git" / "notes.md",
    }
    for name, target in {**outside, "inside.md": root / "pier.md"}.items():
        (root / name).symlink_to(target)
    assert set(await names(folder)) == {*before, "inside.md"}
    for name in ("link.md", "link/outside.md", "loop.md", "hidden.md"):
        assert await refused(folder, (root / name).as_uri()) == "blocked_address", name


async def refused(folder: LocalFolder, url: str) -> str:
    outcome = await folder.fetch(Hit(url, "T"))
    assert isinstance(outcome, Skipped), outcome
    assert outcome.url == url
    return outcome.reason


async def test_a_file_becomes_a_page_of_its_kind(root, folder):
    for name, kind in (("crane.PDF", "application/pdf"), ("manuals/pump manual.txt", "text/plain"),
                       ("page.html", "text/html"), ("pier.md", "text/markdown")):  # fmt: skip
        url = (root / name).as_uri()
        page = await folder.fetch(Hit(url, "T"))
        assert isinstance(page, Page)
        assert (page.url, page.content_type, page.body) == (url, kind, (root / name).read_bytes())


async def test_nothing_outside_the_folder_is_read(root, folder):
    inside, outside = root.as_uri(), (root.parent / "outside.md").as_uri()
    for url in (
        outside, f"{inside}/../outside.md", f"{inside}/%2e%2e/outside.md", f"{inside}/manuals/../../outside.md",
        f"{inside}/..%2foutside.md", "file:///etc/passwd", "file:///etc/hosts.txt", "file:pier.md", "file:",
        f"{inside}/.hidden.md", f"{inside}/.git/notes.md", f"{inside}/photo.jpg", f"{inside}/none.md", inside,
        f"{inside}/manuals", f"{inside}/pier.md%00.html", f"{inside}/pier.md?x=1", f"{inside}/pier.md#top",
        inside.replace("file://", "file://example.org") + "/pier.md", "http://localhost/pier.md", "file://[/pier.md",
    ):  # fmt: skip
        assert await refused(folder, url) == "blocked_address", url


async def test_pipes_and_folders_are_no_files(root, folder):
    os.mkfifo(root / "pipe.txt")
    (root / "folder.md").mkdir()
    with anyio.fail_after(2):
        assert await refused(folder, (root / "pipe.txt").as_uri()) == "wrong_type"
        assert await refused(folder, (root / "folder.md").as_uri()) == "wrong_type"
    assert not {"pipe.txt", "folder.md"} & set(await names(folder))


async def test_large_files_are_not_read(root):
    folder = await opened(root, file_bytes=20)
    assert await refused(folder, (root / "pier.md").as_uri()) == "too_large"


async def test_only_file_hits_go_to_the_folder(root, folder):
    class Web:
        async def fetch(self, hit: Hit) -> Skipped:
            await anyio.lowlevel.checkpoint()
            return Skipped(hit.url, "robots")

    fetcher = RoutedFetcher(Web(), folder)
    assert isinstance(await fetcher.fetch(Hit((root / "pier.md").as_uri(), "T")), Page)
    assert (await fetcher.fetch(Hit("https://example.org/pier.md", "T"))).reason == "robots"
    assert (await fetcher.fetch(Hit("FILE:///etc/passwd", "T"))).reason == "blocked_address"


# How they are found


@asynccontextmanager
async def searching(root: Path, **limits):
    async with LocalEngine(await opened(root, **limits)) as engine:
        yield engine


async def found(engine: LocalEngine, text: str, page: int = 1, **filters) -> list[str]:
    with anyio.fail_after(20):
        hits = await engine.search(Query(text, None, SearchFilters(**filters)), page)
    return [hit.url.rpartition("/")[2] for hit in hits]


async def test_files_of_every_kind_are_found_by_their_words(root):
    os.utime(root / "pier.md", (1_700_000_000, 1_700_000_000))
    async with searching(root) as engine:
        assert await engine.search(Query("Which pier was built of oak?", "en"), 1) == (
            Hit((root / "pier.md").as_uri(), "The pier", f"# The pier {OAK}", "2023-11-14"),
        )
        assert await found(engine, "warranty of the X200") == ["pump%20manual.txt", "pier.md"]
        assert await found(engine, "lamp of the lighthouse") == ["page.html"]
        assert await found(engine, "how many tons does the crane lift") == ["crane.PDF"]
        assert await found(engine, "Когда ремонтировали причалы?") == [
            (root / "manuals" / "причал.txt").as_uri().rpartition("/")[2]
        ]
        assert (await found(engine, "pump manuals"))[0] == "pump%20manual.txt"
        assert await found(engine, "quantum chromodynamics of the") == []
        assert await found(engine, "?!") == []
        assert await found(engine, "warranty of the X200", page=2) == []
        assert await found(engine, "warranty", domains=("example.org",)) == []
        assert await found(engine, "pier oak", recency="week") == []
        assert await found(engine, "crane", recency="hour") == ["crane.PDF"]


async def test_changes_are_seen(root):
    async with searching(root) as engine:
        assert await found(engine, "anchor") == []
        (root / "zz anchor.md").write_text("The anchor weighs two tons and lies before the town hall for all to see.")
        assert await found(engine, "anchor") == ["zz%20anchor.md"]
        (root / "zz anchor.md").write_text("The bollard stands where the iron thing lay, and is painted red and white.")
        assert await found(engine, "bollard") == ["zz%20anchor.md"]
        (root / "zz anchor.md").unlink()
        assert await found(engine, "bollard") == []
        assert await found(engine, "crane") == ["crane.PDF"]


async def test_files_that_cannot_be_read_are_told_and_the_others_searched(root, caplog):
    (root / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    async with searching(root) as engine:
        assert await found(engine, "crane") == ["crane.PDF"]
    assert "broken.pdf is not searched: wrong_type" in caplog.text


async def test_limits_are_told(root, caplog):
    async with searching(root, files=2) as engine:
        await found(engine, "pier")
    assert "more than 2 files" in caplog.text
    async with searching(root, total_chars=10) as engine:
        await found(engine, "pier")
    assert "4 of them are not searched" in caplog.text


async def test_a_search_does_not_wait_for_ever_for_the_first_reading(root):
    async with searching(root, wait_seconds=0.0) as engine:
        with pytest.raises(EngineError, match="still reading the files"):
            await engine.search(Query("pier"), 1)
        with anyio.fail_after(20):
            while True:
                try:
                    assert await engine.search(Query("pier oak"), 1)
                except EngineError:
                    await anyio.sleep(0.05)
                else:
                    break


async def test_searches_at_once_read_the_files_once(root, caplog):
    (root / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    async with searching(root, rescan_seconds=60.0) as engine, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(found, engine, "pier")
    assert caplog.text.count("broken.pdf") == 1


async def test_closing_ends_the_reading_and_hides_no_error(root):
    async def fail() -> None:
        async with searching(root, wait_seconds=0.0) as engine:
            with pytest.raises(EngineError):
                await engine.search(Query("pier"), 1)
            raise ZeroDivisionError

    with anyio.fail_after(5), pytest.raises(ZeroDivisionError):
        await fail()


async def test_a_folder_that_is_gone_is_an_error_and_no_empty_result(root):
    async with searching(root) as engine:
        await found(engine, "pier")
        root.rename(root.parent / "elsewhere")
        with pytest.raises(EngineError, match="cannot be read"):
            await engine.search(Query("pier"), 1)
        (root.parent / "elsewhere").rename(root)
        assert await found(engine, "pier oak") == ["pier.md"]


def entry(name: str, text: str, language: str = "en"):
    return indexed(LocalFile(Path("/x", name), 0, 1), name, name, text, language)


def test_everyday_words_make_no_result():
    files = [entry(f"{n}.md", f"this is the file of the number {n} and how it is in the end") for n in range(30)]
    index = FileIndex([*files, entry("tower.md", "how tall the tower is: three hundred meters")])
    hits = index.hits(Query("How tall is the tower of Eiffel in the end?"))
    assert [hit.title for hit in hits] == ["tower.md"]


def test_words_are_found_in_the_language_of_the_file():
    index = FileIndex([entry("de.md", "Die Häuser am Hafen", "de"), entry("en.md", "houses at the port", "en")])
    assert [hit.title for hit in index.hits(Query("Hafenhaus Häusern", "de"))] == ["de.md"]
    assert [hit.title for hit in index.hits(Query("house", "de"))] == ["en.md"]


def test_an_empty_folder_has_no_hits():
    assert FileIndex([]).hits(Query("pier")) == []
    assert FileIndex([entry("a.md", "...")]).hits(Query("pier")) == []


def test_snippets_take_letters_that_only_look_alike():
    assert "ПЁС" in snippet("a " * 300 + "ПЁС бежит " + "b " * 300, {"пес": 1.0})
    assert snippet("ſtone İstanbul", {"s": 1.0, "i": 1.0})


# On the way to an answer


def settings(**given) -> Settings:
    return Settings(search=("local",), embedder="none", embedded_model="echo", cache="off", **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "set WELLREAD_LOCAL_DIR"),
        ({"local_dir": Path("/nowhere/at/all")}, "WELLREAD_LOCAL_DIR: .*must be a folder"),
    ],
)
async def test_a_missing_folder_stops_the_start(given, message):
    with pytest.raises(BadSettings, match=message):
        async with open_tools(settings(**given)):
            pass


async def test_a_file_is_no_folder(root):
    with pytest.raises(BadSettings, match="must be a folder"):
        async with open_tools(settings(local_dir=root / "pier.md")):
            pass


async def test_doctor_counts_the_files(root):
    assert await files_searched(settings(local_dir=root)) == f"local: 5 files of known kinds in {root}"
    assert await files_searched(Settings(search=("sample",))) is None


async def test_own_files_become_sources(root, caplog):
    caplog.set_level(logging.WARNING)
    question = Question((Message("user", "Which warranty has the Acme X200 pump?"),))

    async def emit(event) -> None:
        await anyio.lowlevel.checkpoint()

    async with open_tools(settings(local_dir=root)) as tools:
        reading = await pipeline.read(question, unaided(question), tools, emit)
    first = reading.context.sources[0].document
    assert (first.url, first.title) == ((root / "manuals" / "pump manual.txt").as_uri(), "Pump")
    assert "three years" in reading.context.text
    assert {page.status for page in reading.coverage.pages} == {"read"}


def test_files_are_hits_like_others():
    listing = [Hit("file:///a/b%20c.md", "B"), Hit("https://a.org/", "A"), Hit("file:///a/b%20c.md", "B again")]
    hits = fuse([listing, [Hit("file:relative.md", "R"), Hit("ftp://a.org/x", "F")]], [SearchFilters()] * 2)
    assert [hit.url for hit in hits] == ["file:///a/b%20c.md", "https://a.org/"]


@pytest.mark.parametrize("cut", range(40))
def test_a_file_is_cited(cut):
    document = Document("file:///a/b%20(c).md", "B", OAK, "")
    source = Source(1, document, (Ranked(Passage(document, 0, 10), 1.0, 1.0),))
    marks, said = CitationReader((source,)), "Of oak [1](file:///a/b%20c.md), so it is."
    assert marks.feed(said[:cut]) + marks.feed(said[cut:]) + marks.flush() == (
        "Of oak [[1]](file:///a/b%20%28c%29.md), so it is."
    )
