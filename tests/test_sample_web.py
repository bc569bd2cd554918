"""The sample web: a few real pages are rendered once, served, cleaned and searched, all over loopback."""

import os
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
import trafilatura

from retrieval.engines.sample import SampleEngine
from retrieval.engines.snippet import snippet
from retrieval.errors import RetrievalError
from retrieval.sample_web import SampleWeb, library, markup
from retrieval.sample_web.render import render
from retrieval.types import Query, SearchFilters

pytestmark = pytest.mark.anyio

PATHS = (
    "/library/asyncio.queues", "/library/asyncio.tasks", "/library/csv", "/library/json", "/library/logging",
    "/library/shutil", "/library/tempfile", "/library/tomllib", "/library/uuid", "/library/zipfile",
    "/packages/anyio", "/packages/rich", "/reference/with",
)  # fmt: skip


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sample-web")


@pytest.fixture
async def web(folder):
    async with SampleWeb(folder, PATHS) as opened:
        yield opened


async def test_pages_are_made_once_and_leave_one_file(folder, web):
    again = await render(folder, PATHS)
    assert again.cached
    assert again.pages == web.pages
    assert {page.path for page in web.pages} == set(PATHS)
    assert len(list(folder.iterdir())) == 1


async def test_pages_are_served_to_get_and_head_on_one_connection(web):
    async with httpx2.AsyncClient(base_url=web.base_url, trust_env=False, verify=False) as client:
        page = await client.get("/library/json?utm_source=test")
        head = await client.head("/library/json")
        home = await client.get("/")
    assert page.status_code == head.status_code == home.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert head.headers["content-length"] == str(len(page.content))
    assert head.content == b""
    assert all(f'href="{path}"' in home.text for path in PATHS)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/library/nothing", 404), ("GET", "/../etc/passwd", 404), ("POST", "/", 405)]
)
async def test_what_is_not_there_is_refused(web, method, path, status):
    async with httpx2.AsyncClient(base_url=web.base_url, trust_env=False, verify=False) as client:
        assert (await client.request(method, path)).status_code == status


async def test_names_signatures_and_docstrings_survive_cleaning(web):
    pages = {page.path: page for page in web.pages}
    text = trafilatura.extract(pages["/library/json"].html, fast=True)
    assert "json.loads(s, *, cls=None" in text
    assert text.index("json.loads(s, *") < text.index("Deserialize s")
    assert ">>> json.dumps(['foo'" in text
    assert "Made from the documentation" not in text
    assert 'The "with" statement is used to wrap' in trafilatura.extract(pages["/reference/with"].html, fast=True)


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("How do I parse JSON in Python?", "/library/json"),
        ("Как прочитать JSON в Python?", "/library/json"),
        ("read a csv file", "/library/csv"),
        ("what does the with statement do", "/reference/with"),
        ("structured concurrency with anyio", "/packages/anyio"),
    ],
)
async def test_the_page_named_in_the_question_comes_first(web, question, first):
    hits = await SampleEngine(web).search(Query(question), 1)
    assert hits[0].url == web.base_url + first
    assert hits[0].snippet


async def test_result_pages_go_on_without_repeats_until_they_end(web):
    engine = SampleEngine(web)
    pages = [await engine.search(Query("How do I read files in Python?"), number) for number in (1, 2, 3)]
    found = [hit.url for page in pages for hit in page]
    assert len(pages[0]) == 10
    assert len(found) == len(set(found)) <= len(PATHS)
    assert pages[2] == ()
    assert await engine.search(Query("???"), 1) == ()


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (SearchFilters(domains=("127.0.0.1",)), True),
        (SearchFilters(domains=("python.org",)), False),
        (SearchFilters(excluded_domains=("127.0.0.1",)), False),
    ],
)
async def test_domain_filters_compare_the_host(web, filters, found):
    assert bool(await SampleEngine(web).search(Query("json", filters=filters), 1)) is found


def test_a_snippet_shows_the_rarest_words():
    text = "The json module. " * 30 + "Only here: decode a stream of JSON values. " + "The json module. " * 30
    assert "decode a stream" in snippet(text, {"json": 0.7, "decod": 3.0, "stream": 3.0})


def test_the_state_of_this_machine_is_not_shown(monkeypatch):
    monkeypatch.setenv("SECRET_KEY_OF_TEST", "sk-secret")

    def function(environment=os.environ, path=sys.executable, name="plain", size=3):
        """Do something."""

    shown = "".join(library._routine("function", "function", function, 3))
    assert "(environment=..., path=..., name='plain', size=3)" in shown


def test_restructured_text_becomes_headings_lists_code_and_paragraphs():
    text = (
        "Title\n=====\n\n.. image:: https://example.org/x.png\n   :alt: x\n\nUse ``code`` and :mod:`json`, see `the "
        "site <https://example.org>`_::\n\n    x = 1 < 2\n\n    y = 2\n\n* one\n* two\n  more\n\n.. note::\n   Care."
    )
    assert markup.prose(text, 2) == [
        "<h2>Title</h2>",
        '<p>Use <code>code</code> and <code>json</code>, see <a href="https://example.org">the site</a>:</p>',
        "<pre>x = 1 &lt; 2\n\ny = 2</pre>",
        "<ul><li>one</li><li>two more</li></ul>",
        "<pre>Care.</pre>",
    ]


def test_a_long_page_is_cut_between_blocks():
    made = markup.page("/x", "x", "", "kind", [markup.paragraph("word " * 1000)] * 100)
    assert len(made.html) < markup.MAX_CHARS + 2000
    assert made.html.endswith("</html>\n")


def test_modules_that_act_on_import_are_not_described():
    names = set(library.names())
    assert {"json", "os.path", "xml.etree.ElementTree", "importlib.metadata", "concurrent.futures"} <= names
    assert not names & {"this", "antigravity", "idlelib", "turtle", "tkinter", "test"}
    assert not [name for name in names if name.endswith("__main__")]


async def test_a_failure_to_render_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("retrieval.sample_web.render.CHILD", "import sys; sys.exit('no disk')")
    with pytest.raises(RetrievalError, match="no disk"):
        await render(tmp_path, ("/library/json",))
    assert not [entry async for entry in anyio.Path(tmp_path).iterdir()]


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path):
    await anyio.Path(tmp_path, "file").write_text("")
    with pytest.raises(RetrievalError, match="cannot be kept"):
        await render(tmp_path / "file", ("/library/json",))
