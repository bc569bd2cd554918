"""Open WebUI before the server, used by a browser: what a person sees, and what it asks of the server by itself.

Both run for real on loopback, in an environment of their own; the model is scripted, over the sample web.
"""

import json
import os
import shutil
import socket
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

import server
from agent.build import open_tools
from agent.models.echo import EchoModel
from agent.reason import Finished
from agent.types import Text, Usage
from tests import web as local
from tests.scripts import KEY, last_line, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.open_webui]
HERE = Path(__file__).parent
BIN = HERE.parent.parent / ".venv-open-webui" / "bin"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUESTION = "How do I copy a directory tree in Python?"
FOLLOW_UP = "And how do I remove one?"
SLOW = "Say words slowly, in Python"
START_SECONDS, BROWSE_SECONDS = 180, 240
# What Open WebUI asks by itself, told by the form of JSON that it wants, and what the model says.
TASKS = {
    "title": {"title": "Copying a tree"},
    "tags": {"tags": ["Python", "Files"]},
    "follow_ups": {"follow_ups": ["And in another language?"]},
}


class Model(EchoModel):
    """The scripted model, which knows what Open WebUI asks by itself, and a question that it answers slowly."""

    def __init__(self):
        super().__init__(delay_seconds=0.003)
        self.tasks, self.left = Counter(), 0

    async def stream(self, prompt):
        asked = prompt.messages[-1].content
        task = next((task for task in TASKS if f'"{task}":' in asked), None)
        if task:
            self.tasks[task] += 1
            yield Text(json.dumps(TASKS[task]))
            yield Finished(Usage(1, 1), "stop")
        elif SLOW in asked and prompt.schema is None:
            async for event in self._slowly():
                yield event
        else:
            async for event in super().stream(prompt):
                yield event

    async def _slowly(self):
        try:
            for number in range(10_000):
                await anyio.sleep(0.05)
                yield Text(f"word {number} ")
        finally:
            self.left += 1


class Counting:
    """A search engine whose questions are counted."""

    def __init__(self, engine):
        self._engine, self.name, self.questions = engine, engine.name, []

    async def search(self, query, page):
        self.questions.append(query.text)
        return await self._engine.search(query, page)


@asynccontextmanager
async def wellread(folder):
    settings = scripted(folder)
    async with open_tools(settings) as tools:
        tools.model = Model()
        tools.engines[:] = [Counting(engine) for engine in tools.engines]
        async with local.serving(server.create_app(settings, tools)) as address:
            yield tools, address


@asynccontextmanager
async def open_webui(wellread_address, folder):
    """Run Open WebUI for one person without a password, with its own data, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "DATA_DIR": str(folder),
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "a secret of this test",
        "OPENAI_API_BASE_URL": f"{wellread_address}/v1",
        "OPENAI_API_KEY": KEY,
        "ENABLE_OLLAMA_API": "False",
        # It embeds nothing here, and must not fetch a model for that.
        "RAG_EMBEDDING_ENGINE": "openai",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "ENABLE_VERSION_UPDATE_CHECK": "False",
        "ANONYMIZED_TELEMETRY": "false",
        "DO_NOT_TRACK": "true",
    }
    command = [str(BIN / "open-webui"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "open-webui.log"
    with log.open("wb") as lines:
        async with await anyio.open_process(
            command, env=environment, cwd=folder, stdout=lines, stderr=lines
        ) as running:
            try:
                await healthy(f"http://127.0.0.1:{port}", running, log)
                yield f"http://127.0.0.1:{port}"
            finally:
                running.kill()


async def healthy(address, running, log):
    """Wait until it answers."""
    with anyio.fail_after(START_SECONDS):
        async with httpx2.AsyncClient() as client:
            while running.returncode is None:
                try:
                    if (await client.get(f"{address}/health")).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                await anyio.sleep(0.5)
    raise AssertionError(log.read_text()[-4000:])


async def browsed(address, screenshot):
    """Use it by a browser, and read what was seen."""
    command = [BIN / "python", HERE / "browse.py", address, CHROMIUM, screenshot, QUESTION, FOLLOW_UP, SLOW]
    return await last_line(command, BROWSE_SECONDS)


@pytest.mark.skipif(not (BIN / "open-webui").exists(), reason="Open WebUI is not installed: make try-open-webui")
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")
async def test_a_person_asks_in_open_webui(tmp_path):
    screenshot = Path(os.environ.get("OPEN_WEBUI_SCREENSHOT", tmp_path / "open-webui.png"))
    async with wellread(tmp_path) as (tools, address), open_webui(address, tmp_path) as front_end:
        seen = await browsed(front_end, screenshot)
        with anyio.fail_after(5):
            while not tools.model.left:  # noqa: ASYNC110 - the model counts
                await anyio.sleep(0.01)

    # Reasoning is folded, and unfolds.
    assert seen["heading"].startswith("Thought for")
    assert (seen["thoughts_when_folded"], seen["thoughts_when_unfolded"]) == (0, 1)
    # Each chip opens the page whose name it shows.
    assert seen["sources"].endswith("3 Sources")
    assert len(seen["opened"]) == 3
    for opened in seen["opened"]:
        assert opened["title"].startswith(opened["chip"].split("...")[0].strip())
        assert opened["url"].startswith("http://127.0.0.1:")
    # The follow-up has chips of its own; what it quotes may look like one more mark.
    assert seen["chips"] > 3
    # Title, tags and follow-ups were asked for, and none of them was searched.
    assert seen["title"].startswith(TASKS["title"]["title"])
    assert set(tools.model.tasks) == set(TASKS)
    searched = [question for engine in tools.engines for question in engine.questions]
    assert QUESTION in searched
    assert not [question for question in searched if "###" in question or "JSON" in question]
