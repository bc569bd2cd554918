"""The memory beside the web: the whole way over HTTP, outages, recordings, and what is kept of what."""

import io
import logging
import sqlite3
from contextlib import asynccontextmanager, closing

import anyio
import httpx2
import pytest

from agent import pipeline
from agent.build import open_tools
from agent.errors import BadSettings
from agent.plan import unaided
from agent.rerun import record, replay
from agent.settings import Settings
from agent.types import Message, Question
from server import create_app
from tests import web as local
from tests.test_rerun import Searched, screen

pytestmark = pytest.mark.anyio
QUESTION = "How long is the bridge of Zazil?"
BRIDGES = ("Zazil", "Morwen", "Orsk", "Tiliko", "Basba", "Ugliano")


async def ignored(event) -> None:
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def bridges():
    """Run a web of bridges with a search engine over it."""
    async with local.running(Searched()) as web:
        for number, name in enumerate(BRIDGES):
            said = f"The bridge of {name} is {500 + number} m long and was built of stone in {1700 + number}. " * 3
            web.page(f"/{number}", local.article(f"Bridge of {name}", said))
        yield web


def settings(web, memory, **given):
    nets = (f"127.0.0.1/32:{web.port}",)
    given = {"search": ("searxng",), "searxng_url": web.base, "allow_nets": nets, "embedder": "hashing"} | given
    return Settings(embedded_model="echo", memory=str(memory), **given)


async def read(tools, text=QUESTION):
    question = Question((Message("user", text),))
    return await pipeline.read(question, unaided(question), tools, ignored)


@asynccontextmanager
async def served(chosen):
    async with (
        open_tools(chosen) as tools,
        local.serving(create_app(chosen, tools)) as base,
        httpx2.AsyncClient(base_url=base, timeout=30) as client,
    ):
        yield client


async def test_the_second_question_finds_its_page_in_the_memory_while_the_web_is_gone(tmp_path):
    async with bridges() as web:
        chosen = settings(web, tmp_path / "memory")
        async with served(chosen) as client:
            first = (await client.post("/v1/search", json={"query": QUESTION})).json()
    async with served(chosen) as client:
        second = (await client.post("/v1/search", json={"query": QUESTION})).json()
        ready = (await client.get("/ready")).json()
    assert "500 m long" in first["context"]
    assert "500 m long" in second["context"]
    assert second["coverage"]["cached"] == second["coverage"]["read"] > 0
    reports = {each["name"]: each for each in second["coverage"]["engines"]}
    assert reports["searxng"]["status"] == "failed"
    assert reports["memory"]["status"] == "ok"
    assert "memory" not in ready["degraded"]


async def test_what_is_read_with_the_memory_leads_to_the_same_context_as_without(tmp_path):
    async with bridges() as web:
        async with open_tools(settings(web, tmp_path / "memory")) as tools:
            first = await read(tools)
        async with open_tools(settings(web, tmp_path / "memory")) as tools:
            second = await read(tools)
        asked = [web.hits[f"/{number}"] for number in range(len(BRIDGES))]
        async with open_tools(settings(web, "off")) as tools:
            third = await read(tools)
    assert asked == [1] * len(BRIDGES)
    assert second.context.text == first.context.text == third.context.text
    assert {each.name for each in third.coverage.engines} == {"searxng"}


async def test_a_recording_is_made_without_the_memory(tmp_path):
    run, shown, again = tmp_path / "run.zip", io.StringIO(), io.StringIO()
    async with bridges() as web:
        chosen = settings(web, tmp_path / "memory")
        async with open_tools(chosen) as tools:
            await read(tools)
        hits = web.hits.total()
        assert await record(chosen, open_tools, run, QUESTION, "wellread", screen(shown)) == 0
        assert web.hits.total() - hits >= len(BRIDGES)
    assert await replay(chosen, open_tools, run, screen(again)) == 0
    assert "The context is byte for byte the recorded one." in again.getvalue()


async def test_a_memory_that_fails_is_told_of(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "memory"
    async with bridges() as web, served(settings(web, folder)) as client:
        await client.post("/v1/search", json={"query": QUESTION})
        (file,) = folder.glob("*.sqlite")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("ALTER TABLE passages RENAME TO lost")
        answer = (await client.post("/v1/search", json={"query": QUESTION})).json()
        ready = (await client.get("/ready")).json()
        assert "500 m long" in answer["context"]
        assert {each["name"]: each["status"] for each in answer["coverage"]["engines"]}["memory"] == "failed"
        assert (ready["status"], ready["degraded"]) == ("ready", {"memory": "cannot be read"})
        assert str(folder) not in str(ready)


@pytest.mark.parametrize("where", ["memory", "mongodb://s3cret@host/", "qdrant://:s3cret@host:6333"])
async def test_a_place_that_is_none_stops_the_start(where):
    with pytest.raises(BadSettings, match=r"^WELLREAD_MEMORY: neither a known store nor a path") as caught:
        async with open_tools(Settings(search=("ddgs",), embedder="hashing", embedded_model="echo", memory=where)):
            pass
    assert "s3cret" not in str(caught.value)


async def test_a_file_in_place_of_the_folder_stops_the_start(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(BadSettings, match=r"WELLREAD_MEMORY: .*notes.*or set it to off"):
        async with open_tools(Settings(search=("ddgs",), embedder="hashing", memory=str(tmp_path / "notes"))):
            pass


async def test_a_memory_without_an_embedder_stops_the_start(tmp_path):
    with pytest.raises(BadSettings, match=r"WELLREAD_MEMORY: .*WELLREAD_EMBEDDER"):
        async with open_tools(Settings(search=("ddgs",), embedder="none", memory=str(tmp_path / "memory"))):
            pass


async def test_nothing_is_kept_of_local_files_and_of_the_sample_web(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "copytree.md").write_text(
        "# Copy\n\nHow do I copy a directory tree in Python? With care, and shutil. " * 9
    )
    chosen = Settings(
        search=("local", "sample"),
        local_dir=files,
        embedder="hashing",
        embedded_model="echo",
        models_dir=tmp_path / "models",
        memory=str(tmp_path / "memory"),
        pages=5,
    )
    async with open_tools(chosen) as tools:
        reading = await read(tools, "How do I copy a directory tree in Python?")
        assert reading.coverage.read == 5
        assert any(page.url.startswith("file:") for page in reading.coverage.pages)
    (file,) = (tmp_path / "memory").glob("*.sqlite")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM pages").fetchone() == (0,)


@pytest.mark.parametrize("told", ["no-store", "private"])
async def test_what_its_site_wants_kept_nowhere_is_not_kept(tmp_path, told):
    async with bridges() as web:
        for reply in web.replies.values():
            reply.headers = (*reply.headers, ("Cache-Control", told))
        async with open_tools(settings(web, tmp_path / "memory")) as tools:
            await read(tools)
        async with open_tools(settings(web, tmp_path / "memory")) as tools:
            second = await read(tools)
    assert {each.name: each.status for each in second.coverage.engines}["memory"] == "empty"
    assert second.coverage.cached == 0


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize(
    "where", ["qdrant+http://:s3cret@127.0.0.1:1", "qdrant+http://[s3cret", "qdrant+http://h:s3cret"]
)
async def test_a_qdrant_that_does_not_answer_stops_the_start(where):
    with pytest.raises(BadSettings, match=r"^WELLREAD_MEMORY: .*Name another place, or set it to off") as caught:
        async with open_tools(Settings(search=("ddgs",), embedder="hashing", embedded_model="echo", memory=where)):
            pass
    assert "s3cret" not in str(caught.value)
