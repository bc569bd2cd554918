"""Real clients ask a real server over loopback: the scripted model over the sample web.

Each runs as a process of its own, in an environment of its own, and tells what it saw as JSON. What each is able to
show is written down here; docs/clients.md tells it to people.
"""

import json
import os
import re
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

import server
from agent.build import open_tools
from agent.errors import ModelFailed
from agent.models.echo import EchoModel
from agent.types import Text
from tests import web as local
from tests.scripts import KEY, last_line, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.clients]
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON, OLD_PYTHON = (ROOT / f".venv-{name}" / "bin" / "python" for name in ("clients", "clients-openai1"))
NODE = PYTHON.with_name("node")
QUESTION = "How do I copy a directory tree in Python?"
BREAKS = "Does the model break off in the middle of Python's json module?"
SECONDS = 120
MARK = re.compile(r"\[\[\d+\]\]\((http://127\.0\.0\.1:\d+/[^)]+)\)")


@dataclass(frozen=True)
class Client:
    """How to run a client, and what it can show."""

    command: tuple[Path | str, ...]
    reasoning: bool = False
    citations: bool = False
    error: str = "NotFoundError"
    broken: str = "APIError"


def python(script, executable=PYTHON):
    return executable, HERE / "python" / script


def node(script, *arguments):
    return NODE, HERE / "node" / script, *arguments


def ai_sdk(way):
    """Make a client of one provider of the AI SDK: `chat` shows no reasoning, only OpenAI's own show sources."""
    broken = "AI_APICallError" if way == "chat" else "AI_StreamProviderError"
    shown = {"reasoning": way != "chat", "citations": way in {"responses", "chat"}}
    return Client(node("ai_sdk.mjs", way), **shown, error="AI_APICallError", broken=broken)


CLIENTS = {
    "openai": Client(python("openai_client.py"), reasoning=True, citations=True),
    "openai 1": Client(python("openai_client.py", OLD_PYTHON), reasoning=True, citations=True),
    "langchain": Client(python("langchain_client.py")),
    "pydantic-ai": Client(
        python("pydantic_ai_client.py"), reasoning=True, error="ModelHTTPError", broken="ModelHTTPError"
    ),
    "litellm": Client(python("litellm_client.py"), reasoning=True),
    "llm": Client(python("llm_client.py"), error="exit 1", broken="exit 1"),
    "openai for node": Client(node("openai.mjs"), reasoning=True, citations=True),
    **{f"ai sdk, {way}": ai_sdk(way) for way in ("compatible", "responses", "chat", "deepseek")},
}


class Watched(EchoModel):
    """The scripted model: slow enough to be left in mid-answer, breaking off when asked to, counting its runs."""

    def __init__(self):
        super().__init__(delay_seconds=0.003)
        self.running = self.left = 0

    async def stream(self, prompt):
        self.running += 1
        finished = False
        try:
            async for event in super().stream(prompt):
                yield event
                if isinstance(event, Text) and BREAKS in prompt.messages[-1].content and prompt.schema is None:
                    raise ModelFailed("The model broke off in mid-answer.")
            finished = True
        except ModelFailed:
            finished = True
            raise
        finally:
            self.running -= 1
            self.left += not finished


@pytest.fixture(scope="module")
async def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    settings = scripted(folder)
    async with open_tools(settings) as opened:
        opened.model = Watched()
        yield opened


@pytest.fixture(scope="module")
async def address(tools):
    async with local.serving(server.create_app(tools.settings, tools)) as url:
        yield url


async def seen(client, address):
    """Run a client, and read what it saw."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "WELLREAD_BASE": address,
        "WELLREAD_KEY": KEY,
        "WELLREAD_QUESTION": QUESTION,
        "WELLREAD_BREAKS": BREAKS,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LANGSMITH_TRACING": "false",
    }
    return await last_line(client.command, SECONDS, environment)


@pytest.fixture
def client(name):
    if not Path(CLIENTS[name].command[0]).exists():
        pytest.skip("the clients are not installed: make test-clients")
    return CLIENTS[name]


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client(name, client, tools, address):
    model = tools.model
    left = model.left
    told = await seen(client, address)

    for way in ("plain", "stream"):
        assert MARK.search(told[way]["text"]), told[way]
        assert "Copy" in told[way]["text"] or "shutil" in told[way]["text"]
        if client.reasoning:
            assert "webpages" in told[way]["reasoning"]
    if client.citations:
        for way in ("plain", "stream"):
            assert told[way]["citations"] == MARK.findall(told[way]["text"])
    assert told["stream"].get("pieces", 2) > 1
    assert any(client.error in kind for kind in told["error"]["kinds"]), told["error"]
    assert "no-such-model" in told["error"]["message"]
    assert "broke off" in told["broken"]["message"], told["broken"]
    assert client.broken in told["broken"]["kinds"], told["broken"]
    assert told["cancelled"] is True
    with anyio.fail_after(5):
        while model.running:  # noqa: ASYNC110 - the model counts
            await anyio.sleep(0.01)
    assert model.left == left + 1
    extra_checks(name, told)


def extra_checks(name, told):
    """Check what only some clients do."""
    if name.startswith("openai"):
        assert told["helper"] == told["plain"]["text"]
        assert MARK.search(told["responses"]["whole"])
        assert told["responses"]["citations"]
        assert "webpages" in told["responses"]["reasoning"]
    if name == "langchain":
        for way in ("responses", "responses_stream"):
            assert told[way]["citations"]
            assert "webpages" in told[way]["reasoning"]
        assert "webpages" in told["deepseek"]
    if name == "pydantic-ai":
        assert "webpages" in told["responses"]["reasoning"]
        assert "webpages" in told["responses_stream"]["reasoning"]
    if name in {"litellm", "llm"}:
        assert MARK.search(told["responses"]["text"])
    if name.startswith("ai sdk"):
        assert MARK.search(told["conversation"])


@asynccontextmanager
async def curling(*arguments):
    async with await anyio.open_process(["curl", "-sS", *arguments], stdout=subprocess.PIPE) as process:
        yield process


async def test_curl(tools, address):
    body = {"model": "wellread", "messages": [{"role": "user", "content": QUESTION}]}
    headers = ["-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"]
    url = f"{address}/v1/chat/completions"
    plain = await anyio.run_process(["curl", "-sS", *headers, "-d", json.dumps(body), url])
    streamed = await anyio.run_process(["curl", "-sSN", *headers, "-d", json.dumps(body | {"stream": True}), url])
    refused = await anyio.run_process(["curl", "-sS", "-w", "%{http_code}", "-d", "{}", url])
    left = tools.model.left
    async with curling("-N", *headers, "-d", json.dumps(body | {"stream": True}), url) as process:
        async for piece in process.stdout:
            if b'"content":"C' in piece or b'"content":"s' in piece:
                process.terminate()
                break
    with anyio.fail_after(5):
        while tools.model.running:  # noqa: ASYNC110 - the model counts
            await anyio.sleep(0.01)

    message = json.loads(plain.stdout)["choices"][0]["message"]
    assert [note["url_citation"]["url"] for note in message["annotations"]] == MARK.findall(message["content"])
    assert streamed.stdout.endswith(b"data: [DONE]\n\n")
    assert b"reasoning_content" in streamed.stdout
    assert refused.stdout.endswith(b"401")
    assert tools.model.left == left + 1


def test_every_version_is_listed():
    listed = (ROOT / "docs" / "clients.md").read_text()
    pins = [
        tuple(line.split("=="))
        for file in ("requirements.txt", "requirements-openai1.txt", "../open_webui/requirements.txt")
        for line in (HERE / file).read_text().splitlines()
        if "==" in line
    ]
    pins += json.loads((HERE / "node" / "package.json").read_text())["dependencies"].items()
    missing = [pin for pin in pins if f"`{pin[0].partition('[')[0]}` {pin[1]}" not in listed]
    assert not missing
