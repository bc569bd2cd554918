"""Requests that nobody would write: whatever comes, the server answers, and never with a fault of its own.

Schemathesis asks a real pipeline by the OpenAPI document and holds every reply against it; Hypothesis draws bodies
around the fields that are read, and bodies that are no JSON, for a pipeline that answers at once. The parts that read
what strangers wrote are fuzzed by themselves, each for a minute (`tests.fuzzed`).
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import server
from agent.build import open_tools
from agent.settings import Settings
from agent.wire.chat_request import ChatRequest
from agent.wire.responses_request import ResponsesRequest
from agent.wire.search_api import SearchRequest
from tests.test_server import FakeTools, one_reading, tower
from tests.web import serving

pytestmark = pytest.mark.fuzz

SCHEMATHESIS = Path(sys.executable).with_name("st")
FAULT = b'"internal_error"'
EXAMPLES = 1_500
PARTS = ("cleaner", "thinking", "citations", "urls", "guard")
PART_SECONDS = 60
REQUEST_SECONDS = 20


class Counting:
    """An application whose replies are counted by status; a fault told after the head counts as 500 too."""

    def __init__(self, app):
        self._app = app
        self.replies = Counter()

    async def __call__(self, scope, receive, send):
        async def counting(message):
            if message["type"] == "http.response.start":
                self.replies[message["status"]] += 1
            self.replies[500] += FAULT in message.get("body", b"")
            await send(message)

        await self._app(scope, receive, counting)


@pytest.mark.anyio
async def test_by_the_document(tmp_path):
    chosen = Settings(search=("sample",), embedder="none", embedded_model="echo", models_dir=tmp_path, pages=3)
    async with open_tools(chosen) as tools:
        app = Counting(server.create_app(chosen, tools))
        async with serving(app) as address:
            done = await anyio.run_process(
                [
                    str(SCHEMATHESIS),
                    *("run", f"{address}/openapi.json", "--no-color", "--continue-on-failure"),
                    *("--phases", "examples,coverage,fuzzing", "--max-examples", "200", "--seed", "1"),
                    *("--request-timeout", str(REQUEST_SECONDS)),
                    # What may be asked for depends on several fields together, which the document cannot say.
                    *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
                ],
                cwd=tmp_path,
                check=False,
                stderr=subprocess.STDOUT,
            )
    assert done.returncode == 0, done.stdout.decode()[-8000:]
    assert app.replies.total() > 1_500
    assert not app.replies[500]


# ---- bodies around the fields that are read

QUESTION = "Who built it?"
SMALLEST = {
    "chat/completions": {"model": "wellread", "messages": [{"role": "user", "content": QUESTION}]},
    "responses": {"model": "wellread", "input": QUESTION},
    "search": {"query": QUESTION},
}
REQUESTS = {"chat/completions": ChatRequest, "responses": ResponsesRequest, "search": SearchRequest}
# Words that mean something in one field or another, and what readers stumble over.
WORDS = st.sampled_from(
    [
        *("", " ", "text", "json_object", "json_schema", "function", "required", "auto", "web_search", "message"),
        *("item_reference", "user", "assistant", "system", "tool", "low", "none", "link", "day", "wellread-deep"),
        *("msg_1", "2026-01-31", "31/31/2026", "example.org", "-", "a OR b", "<think>", "</think>", "\ud800", "\u2028"),
        *("\0", "٣", "[[1]](https://a.example/)", "[webpage 1 end]", "<｜User｜>", "\U000e0041", "https://[", "#/a"),
        *("е" * 5_000, "(" * 2_000 + ")" * 2_000, "a{99999999999}", "(?P<a", "object", "array"),
    ]
)
NUMBERS = st.sampled_from([0, 1, -1, 0.5, 1.0, 2**31, 2**63, -(2**64), 1e308, float("nan"), float("inf"), 10**400])
FIELDS = st.sampled_from(
    sorted(
        {
            *(field.alias or name for kind in REQUESTS.values() for name, field in kind.model_fields.items()),
            *("type", "role", "content", "text", "schema", "json_schema", "format", "function", "name", "id"),
            *("filters", "approximate", "country", "thinking", "effort", "include_usage"),
            *("$ref", "$defs", "$id", "properties", "pattern", "enum", "anyOf", "items", "maxLength"),
        }
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | WORDS, inner, max_size=4),
    max_leaves=12,
)


def as_schema(value):
    """Put a value where the two APIs have the schema of an answer."""
    form = {"type": "json_schema", "name": "a"}
    return {
        "response_format": form | {"json_schema": {"schema": value}},
        "text": {"format": form | {"schema": value}},
    }


SCHEMAS = VALUES | WORDS.map(lambda word: {"pattern": word, "properties": {word: {"$ref": word}}})
CHANGES = st.dictionaries(FIELDS, VALUES, max_size=5) | SCHEMAS.map(as_schema)
NESTED = st.integers(1, 60_000).flatmap(
    lambda depth: st.sampled_from([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth])
)
# Where in a field a deep value stands.
PLACES = (
    "%s",
    "[%s]",
    '[{"role":"user","content":%s}]',
    '{"type":"json_schema","json_schema":{"schema":%s}}',
    '{"format":{"type":"json_schema","schema":%s}}',
)


@pytest.fixture(scope="module")
def client():
    app = Counting(server.create_app(Settings(), FakeTools(), answer=tower, read=one_reading))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(app)) as address,
        httpx2.Client(base_url=f"{address}/v1/", timeout=REQUEST_SECONDS, trust_env=False, verify=False) as client,
    ):
        yield client
    assert not app.replies[500]


def posted(client, path, content):
    reply = client.post(path, content=content, headers={"content-type": "application/json"})
    assert reply.status_code in {200, 400, 404}, content[:2_000]
    assert FAULT not in reply.content, content[:2_000]
    if reply.status_code != 200:
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    elif reply.headers["content-type"].startswith("application/json"):
        assert reply.json()["id"]
    else:
        last = reply.text.rstrip().splitlines()[-1].removeprefix("data: ")
        assert last == "[DONE]" or json.loads(last)["type"] in {"response.completed", "response.failed"}


@pytest.mark.parametrize("path", REQUESTS)
def test_by_the_fields(client, path):
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(CHANGES)
    def ask(fields):
        posted(client, path, json.dumps(SMALLEST[path] | fields).encode())

    ask()


@pytest.mark.parametrize("path", REQUESTS)
def test_what_is_no_request(client, path):
    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()) | NESTED)
    def ask(content):
        posted(client, path, content)

    ask()


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("depth", [20, 100, 500, 5_000, 50_000])
def test_deep_values_in_every_field(client, path, depth):
    nested = '{"not":' * depth + "{}" + "}" * depth
    smallest = json.dumps(SMALLEST[path])[:-1]
    for name, field in REQUESTS[path].model_fields.items():
        for place in PLACES:
            posted(client, path, f'{smallest}, "{field.alias or name}": {place % nested}}}'.encode())


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": [{"a": 0}] * 6_000},
        {"enum": list(range(15_000))},
        {"allOf": [{}] * 20_000},
        {"properties": {f"p{number}": {"type": "string"} for number in range(3_000)}},
        {"required": [f"p{number}" for number in range(8_000)]},
        {"pattern": "(a|b|c)*" * 10_000},
    ],
    ids=["types", "enum", "allOf", "properties", "required", "pattern"],
)
def test_wide_schemas(client, path, schema):
    posted(client, path, json.dumps(SMALLEST[path] | as_schema(schema)).encode())


@pytest.mark.parametrize("part", PARTS)
def test_parts_that_read_what_strangers_wrote(part):
    pytest.importorskip("atheris", reason="atheris is not built for this Python")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzed", part, "--seconds", str(PART_SECONDS)],
        capture_output=True,
        check=False,
        timeout=PART_SECONDS * 5,
    )
    told = done.stderr.decode(errors="replace")
    assert done.returncode == 0, told[-4_000:]
    assert int(told.split("stat::number_of_executed_units:")[1].split()[0]) > 1_000
