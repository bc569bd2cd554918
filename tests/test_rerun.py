import io
import json
import sys
import zipfile
from contextlib import asynccontextmanager

import httpx2
import pytest

from agent.models.echo import EchoModel
from agent.rerun import Screen, record, replay
from agent.settings import Settings
from agent.terminal.prints import people_printer
from agent.tools import Tools
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.engines.searxng import SearxngEngine
from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from server import main
from tests import web as local
from tests.conftest import LIMITS
from tests.test_ask import Gone, Terminal

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]
ASKED = "How long is the old pier of Brighton?"


def screen(out, **options):
    return Screen(people_printer(out, out), **options)


def opener(extractor, web):
    """Open tools over a loopback web; a replay is given an address where nobody answers."""

    @asynccontextmanager
    async def opened(settings: Settings):
        guard = Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),))
        async with httpx2.AsyncClient(trust_env=False, verify=False) as client, Fetcher(guard, LIMITS) as fetcher:
            engines = [SearxngEngine(web.base, client) for _ in settings.search]
            yield Tools(settings, EchoModel(), engines, fetcher, extractor, HashingEmbedder(), fetch_limits=LIMITS)

    return opened


class Searched(local.Web):
    """A web with a search engine over it."""

    async def reply(self, reply, reader, writer):
        if self.heads[-1].startswith(b"GET /search?"):
            first = b"pageno=1" in self.heads[-1]
            rows = [{"url": self.base + path, "title": path} for path in self.replies] if first else []
            reply = local.Reply(json.dumps({"results": rows}).encode(), headers=(("Content-Type", "application/json"),))
        await super().reply(reply, reader, writer)


@asynccontextmanager
async def piers():
    """Run a web of piers with faults: a page that hangs, a page that is refused, a page twice, an empty one."""
    async with local.running(Searched()) as web:
        for number in range(12):
            name = "the old pier of Brighton" if number == 3 else f"a jetty in town number {number}"
            text = f"The structure called {name} is {500 + number} m long and made of iron. " * 4
            web.page(f"/{number}", local.article(f"Pier {number}", text))
        web.page("/again", web.replies["/5"].body)
        web.page("/hangs", b"", delay=30)
        web.page("/refused", b"", status=403)
        web.page("/shell", b"<html><body><div id=root></div></body></html>")
        yield web


async def test_a_replay_gives_the_same_context_without_the_web(tmp_path, extractor):
    path = tmp_path / "run.zip"
    settings = Settings(search=("searxng",), embedder="hashing", read_seconds=1.5)
    shown, again, context = io.StringIO(), io.StringIO(), io.StringIO()
    async with piers() as web:
        opened = opener(extractor, web)
        assert await record(settings, opened, path, ASKED, "wellread", screen(shown)) == 0
        hits = web.hits.total()
    assert await replay(settings, opened, path, screen(again)) == 0
    assert await replay(settings, opened, path, screen(context, context_only=True)) == 0
    assert web.hits.total() == hits
    with zipfile.ZipFile(path) as file:
        recorded = file.read("context.txt").decode()
    assert context.getvalue() == recorded
    assert "503 m long" in recorded
    assert "1 duplicate" in shown.getvalue()
    assert "The context is byte for byte the recorded one.\n" in again.getvalue()
    assert "[1] Pier 3" in again.getvalue()


async def test_a_replay_says_when_its_context_is_another(tmp_path, extractor):
    path, changed = tmp_path / "run.zip", tmp_path / "changed.zip"
    settings = Settings(search=("searxng",), embedder="hashing")
    shown = io.StringIO()
    async with piers() as web:
        del web.replies["/hangs"]
        opened = opener(extractor, web)
        assert await record(settings, opened, path, ASKED, "wellread-quick", screen(io.StringIO())) == 0
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"another" if name == "context.txt" else old.read(name))
    assert await replay(Settings(embedder="none"), opened, changed, screen(shown)) == 0
    assert (
        "The context differs from the recorded one. It was ranked by hashing then and by none now." in shown.getvalue()
    )


async def test_errors_are_said_and_kept(tmp_path, extractor):
    path, shown = tmp_path / "run.zip", io.StringIO()
    settings = Settings(search=("searxng",), embedder="hashing")
    async with local.running() as web:
        opened = opener(extractor, web)
        assert await record(settings, opened, path, ASKED, "wellread", screen(shown)) == 1
    assert "answered 404" in shown.getvalue()
    assert await replay(settings, opened, path, screen(shown)) == 1
    assert "has no sound run.json" in shown.getvalue()
    assert await record(settings, opened, path, ASKED, "wellread-chat", screen(shown)) == 1
    assert "nothing to record" in shown.getvalue()


async def test_a_run_that_nobody_looks_at_ends_with_a_broken_pipe(tmp_path, extractor):
    settings = Settings(search=("searxng",), embedder="hashing")
    shown = Screen(people_printer(Gone("the first line\n"), io.StringIO()))
    async with piers() as web:
        del web.replies["/hangs"]
        with pytest.raises(BrokenPipeError):
            await record(settings, opener(extractor, web), tmp_path / "run.zip", ASKED, "wellread", shown)


async def test_a_run_shows_its_progress_on_a_terminal(tmp_path, extractor, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    settings, out = Settings(search=("searxng",), embedder="hashing"), Terminal()
    async with piers() as web:
        del web.replies["/hangs"]
        assert await record(settings, opener(extractor, web), tmp_path / "run.zip", ASKED, "wellread", screen(out)) == 0

    assert "15 found · " in out.shown
    assert out.left.startswith("Searching the web: ")
    assert "\nPages: 15 found" in out.left


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replay", "x.zip", "a question"], "leave yours out"),
        ([], "Say what to ask"),
        (["--record", "x.zip"], "Say what to ask"),
        (["  "], "Say what to ask"),
        (["a question", "--context"], "--context goes with"),
        (["a question", "--record", "x.zip", "--json"], "leave out --record"),
        (["--replay", "x.zip", "--json"], "leave out --record"),
    ],
)
def test_the_command_says_what_it_lacks(arguments, said, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["ask", *arguments]) == 2
    assert said in capsys.readouterr().err
