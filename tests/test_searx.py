"""The engine for SearXNG against a real metasearch server: searx, its ancestor with the same JSON API, on loopback."""

import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest

from retrieval.engines.searxng import SearxngEngine
from retrieval.errors import EngineRefused
from retrieval.types import Hit, PartialPage, Query
from tests import web as local

EXAMPLE = Path("/usr/share/doc/searx/examples/settings.yml")
COMMAND = shutil.which("searx-run")
START_SECONDS = 60

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.searx,
    pytest.mark.skipif(
        not (COMMAND and EXAMPLE.exists()), reason="searx is not installed here (Debian has it: apt-get install searx)"
    ),
]


class AnyQuery(dict):
    def get(self, path):
        return super().get(path.partition("?")[0])


def engine_entry(web, name: str) -> dict:
    return {
        "name": name,
        "engine": "json_engine",
        "shortcut": name,
        "search_url": f"{web.base}/{name}?q={{query}}&page={{pageno}}",
        "results_query": "results",
        "url_query": "url",
        "title_query": "title",
        "content_query": "content",
        "paging": True,
        "enable_http": True,
        "categories": "general",
    }


def settings(web, port: int) -> str:
    """Make settings of the example: whole, but for its engines, formats, key and port."""
    text = EXAMPLE.read_text()
    engines = json.dumps([engine_entry(web, name) for name in ("up", "down")])
    text = re.sub(r"(?ms)^engines:.*?(?=^\w)", lambda _: f"engines: {engines}\n", text)
    text = re.sub(r"(?m)^search:", "search:\n    formats: [html, json]", text)
    return text.replace("ultrasecretkey", "for this test").replace("port : 8888", f"port : {port}\n    limiter: false")


def started(path: Path, port: int) -> subprocess.Popen:
    """Start the server and wait until it listens. Blocks."""
    environment = {"SEARX_SETTINGS_PATH": str(path), "PATH": "/usr/bin:/bin"}
    with (path.parent / "log").open("wb") as log:
        process = subprocess.Popen([COMMAND], env=environment, stdout=log, stderr=log)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError((path.parent / "log").read_text()[-2_000:])


@pytest.fixture
async def upstream():
    async with local.running() as web:
        web.replies = AnyQuery()
        yield web


@pytest.fixture
async def engine(upstream, tmp_path):
    port, path = local.free_port(), tmp_path / "settings.yml"
    path.write_text(settings(upstream, port))
    process = await anyio.to_thread.run_sync(started, path, port)
    try:
        async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=20) as client:
            yield SearxngEngine(f"http://127.0.0.1:{port}", client)
    finally:
        process.terminate()
        await anyio.to_thread.run_sync(process.wait)


def results(*numbers: int) -> bytes:
    rows = [{"url": f"https://a.org/{i}", "title": f"Title {i}", "content": f"Pier {i}"} for i in numbers]
    return json.dumps({"results": rows}).encode()


async def test_a_real_searx(engine, upstream):
    upstream.page("/up", results(1, 2))
    upstream.page("/down", results())
    assert await engine.search(Query("pier & пирс", "en"), 2) == (
        Hit("https://a.org/1", "Title 1", "Pier 1"),
        Hit("https://a.org/2", "Title 2", "Pier 2"),
    )
    asked = [head.split()[1].decode() for head in upstream.heads]
    assert "/up?q=pier+%26+%D0%BF%D0%B8%D1%80%D1%81&page=2" in asked

    upstream.page("/down", b"", status=429)
    partial = await engine.search(Query("another"), 1)
    assert isinstance(partial, PartialPage)
    assert len(partial) == 2
    assert partial.note.startswith("unresponsive behind it: down ")

    upstream.page("/up", b"", status=500)
    with pytest.raises(EngineRefused, match=r"every engine behind it is unresponsive: .*up"):
        await engine.search(Query("a third"), 1)
