import json
import logging
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import openai
import pytest

import server
from agent import command, page
from agent.errors import BadSettings, ModelUnavailable, SearchUnavailable
from agent.reason import ModelInfo
from agent.settings import Settings
from agent.types import (
    Annotation,
    Answer,
    Cited,
    Context,
    Coverage,
    Progress,
    Reading,
    Text,
    Thinking,
    Timings,
    Usage,
)
from retrieval.shared import InProcess
from tests.web import serving

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
URL = "https://a.example/tower"
MARK = f"[[1]]({URL})"
ANSWER = Answer(
    f"Eiffel {MARK}",
    "Hm.",
    (Annotation(7, 7 + len(MARK), URL, "Tower"),),
    (Cited(URL, "Tower", None, "built by"),),
    Usage(10, 20, 5, 2),
    "stop",
    Coverage(found=1, asked=1, read=1, used=1, cited=1, rounds=1),
)


class FakeModel:
    def __init__(self, *, up=True):
        self.up = up

    async def info(self):
        if not self.up:
            raise ModelUnavailable("The model cannot be reached.")
        return ModelInfo("fake", 4096)

    async def count(self, messages):
        return None


class FakeTools:
    def __init__(self, *, up=True):
        self.model = FakeModel(up=up)
        self.shared = InProcess()

    async def check(self):
        return {"model": "ok" if self.model.up else "down", "search": "ok"}

    def degraded(self):
        return {}

    async def upstreams(self):
        return {"model": self.model.up}

    def engine_health(self):
        return {"ddgs": "ok", "brave": "cooling: answered 429; asked again in 30 s"}


async def tower(question, tools, emit):
    await emit(Progress("Searching\n"))
    await emit(Thinking("Hm."))
    await emit(Text("Eiffel "))
    await emit(Text(MARK))
    await emit(ANSWER)


class Endless:
    """A pipeline that never ends by itself, and counts how many of it run."""

    def __init__(self):
        self.running = 0
        self.started = 0
        self.cancelled = anyio.Event()

    async def __call__(self, question, tools, emit):
        self.running += 1
        self.started += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.running -= 1
            self.cancelled.set()


async def one_reading(question, plan, tools, emit, **options):
    context = Context("x" * options["context_chars"], ())
    return Reading(plan, (), context, Coverage(asked=options["pages"]), Timings())


@asynccontextmanager
async def running(*, answer=tower, read=one_reading, tools=None, limits=None, **settings):
    app = server.create_app(Settings(**settings), tools or FakeTools(), answer=answer, read=read, limits=limits)
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=5, trust_env=False, verify=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
async def plain():
    """One server with nothing special, for the tests that only look at replies."""
    async with running() as client:
        yield client


ASKED_TWICE = {"model": "wellread", "input": "Who built it?"}


def body(text="Who built it?", **fields):
    return {"model": "wellread", "messages": [{"role": "user", "content": text}], **fields}


async def events(response):
    return [line.removeprefix("data: ") async for line in response.aiter_lines() if line]


def chunks_of(response):
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def sdk(client, key="none"):
    return openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key=key, max_retries=0)


async def test_the_stock_client_streams(plain):
    async with sdk(plain) as stock:
        stream = await stock.chat.completions.create(**body(), stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == "Searching\nHm."
    assert "".join(delta.content or "" for delta in deltas) == ANSWER.text
    (citation,) = deltas[-1].annotations
    span = slice(citation["url_citation"]["start_index"], citation["url_citation"]["end_index"])
    assert ANSWER.text[span] == MARK
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == 5
    assert chunks[-2].citations == [URL]
    assert chunks[-2].coverage["read"] == 1


async def test_the_stock_client_gets_a_whole_answer(plain):
    async with sdk(plain) as stock:
        whole = await stock.chat.completions.create(**body())

    message = whole.choices[0].message
    assert (message.content, message.reasoning_content, message.reasoning) == (ANSWER.text, "Hm.", "Hm.")
    assert message.annotations[0].url_citation.title == "Tower"
    assert whole.usage.total_tokens == 30
    assert whole.search_results[0]["url"] == URL


async def test_the_stock_clients_stream_helper(plain):
    async with sdk(plain) as stock, stock.chat.completions.stream(**body()) as stream:
        final = await stream.get_final_completion()

    assert (final.choices[0].message.role, final.choices[0].message.content) == ("assistant", ANSWER.text)


async def test_the_stream_on_the_wire(plain):
    async with plain.stream("POST", "/v1/chat/completions", json=body(stream=True)) as response:
        lines = await events(response)

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1


async def test_the_role_comes_before_the_work():
    endless = Endless()
    async with running(answer=endless) as client:
        start = time.monotonic()
        async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as response:
            first = await anext(aiter(response.aiter_lines()))
            assert time.monotonic() - start < 0.5
    assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["role"] == "assistant"


async def test_silence_is_filled():
    async def slow(question, tools, emit):
        await anyio.sleep(0.2)
        await emit(ANSWER)

    patient = running(answer=slow, limits=server.Limits(5, keep_alive_seconds=0.05))
    async with patient as client, client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as response:
        lines = await events(response)

    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert 2 <= deltas.count({}) <= 4


async def broken_search(question, tools, emit):
    await emit(Progress("Searching\n"))
    raise SearchUnavailable({"ddgs": "rate limited"})


async def grouped(question, tools, emit):
    async with anyio.create_task_group() as group:
        group.start_soon(broken_search, question, tools, emit)
        await anyio.sleep(1)


async def fault(question, tools, emit):
    raise KeyError("secret of ours")


async def lost_model(question, tools, emit):
    raise ModelUnavailable("The model cannot be reached.")


async def endless_answer(question, tools, emit):
    await emit(Text("Half"))


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (broken_search, 502, "upstream_error"),
        (grouped, 502, "upstream_error"),
        (fault, 500, "internal_error"),
        (lost_model, 503, "overloaded"),
        (endless_answer, 502, "upstream_error"),
    ],
)
async def test_errors_of_the_pipeline(answer, status, code, caplog):
    async with running(answer=answer) as client:
        whole = await client.post("/v1/chat/completions", json=body())
        async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as response:
            *_, last, done = await events(response)

    assert (whole.status_code, whole.headers["x-should-retry"]) == (status, "false")
    assert set(whole.json()["error"]) == {"message", "type", "param", "code"}
    assert (response.status_code, done) == (200, "[DONE]")
    assert list(json.loads(last)) == ["error"]
    assert json.loads(last)["error"]["code"] == whole.json()["error"]["code"] == code
    assert "secret" not in whole.text
    assert caplog.text.count(f"answered with {code}") == 2


async def test_the_stock_client_raises_an_error_in_the_stream():
    async with running(answer=broken_search) as client, sdk(client) as stock:
        with pytest.raises(openai.APIError, match="rate limited"):
            _ = [chunk async for chunk in await stock.chat.completions.create(**body(), stream=True)]


async def test_an_answer_has_a_deadline():
    async with running(answer=Endless(), answer_seconds=0.1) as client:
        whole = await client.post("/v1/chat/completions", json=body())

    assert (whole.status_code, whole.json()["error"]["code"]) == (504, "timeout")


async def post(client, **fields):
    return await client.post("/v1/chat/completions", **fields)


@pytest.mark.parametrize(
    ("request_", "status", "param", "code"),
    [
        (lambda c: post(c, content=b"not json", headers={"content-type": "application/json"}), 400, None, None),
        (lambda c: post(c, content=b"\xff\xfe", headers={"content-type": "application/json"}), 400, None, None),
        (lambda c: post(c, content=b"[" * 50_000, headers={"content-type": "application/json"}), 400, None, None),
        (lambda c: post(c, content=b'"text"', headers={"content-type": "application/json"}), 400, None, None),
        (post, 400, None, None),
        (lambda c: post(c, json={"model": "wellread"}), 400, "messages", None),
        (lambda c: post(c, json=body(model=None)), 400, "model", None),
        (lambda c: post(c, json=body() | {"model": "gpt-4"}), 404, "model", "model_not_found"),
        (lambda c: post(c, json=body(n=2)), 400, "n", "unsupported_value"),
        (lambda c: post(c, json=body(" ")), 400, "messages[0].content", None),
        (lambda c: post(c, json=body("x" * 100_000)), 400, "messages", "context_length_exceeded"),
        (lambda c: post(c, json=body("x" * 400_001)), 400, "messages[0].content", None),
        (lambda c: post(c, json=body("x" * 2_000_001)), 413, None, "request_too_large"),
        (lambda c: c.post("/v1/search", json={"query": ""}), 400, "query", None),
        (lambda c: c.post("/v1/search", json={"query": "x", "pages": 1.5}), 400, "pages", None),
        (lambda c: c.get("/v1/nowhere"), 404, None, None),
        (lambda c: c.get("/v1/models/gpt-4"), 404, "model", "model_not_found"),
        (lambda c: c.get("/v1/chat/completions"), 405, None, None),
    ],
)
async def test_refusals(plain, request_, status, param, code):
    reply = await request_(plain)

    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert reply.headers["x-request-id"]


async def test_a_body_is_counted_while_it_comes():
    async def pieces():
        for _ in range(3):
            yield b" " * 1_000

    async with running(max_body_bytes=2_000) as client:
        reply = await post(client, content=pieces(), headers={"content-type": "application/json"})

    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_body_that_trickles_in_is_refused(monkeypatch):
    monkeypatch.setattr(server, "RECEIVE_SECONDS", 0.1)
    head = b"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
    async with running() as client, await anyio.connect_tcp("127.0.0.1", client.base_url.port) as stream:
        await stream.send(head)
        with anyio.fail_after(2):
            reply = await stream.receive()

    assert reply.startswith(b"HTTP/1.1 408 ")


HEAD = b"GET /health HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


async def received(stream):
    """Take all that comes until the server closes the connection."""
    taken = b""
    with anyio.fail_after(5), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            taken += await stream.receive()
    return taken


async def test_a_flood_of_pipelined_requests_is_cut_off():
    async with running() as client, await anyio.connect_tcp("127.0.0.1", client.base_url.port) as stream:
        with anyio.fail_after(5):
            await sent(stream, (HEAD + b"\r\n") * 1_000, 20)
            reply = await received(stream)

        assert reply.count(b"HTTP/1.1 200") < 1_000
        assert (await client.get("/health")).status_code == 200


async def sent(stream, more, times):
    """Send without end, and tell how much was taken before the server closed the connection."""
    for time_ in range(times):
        try:
            await stream.send(more)
        except anyio.BrokenResourceError:
            return time_ * len(more)
    return times * len(more)


@pytest.mark.parametrize(
    "begun",
    [b"GET /", HEAD + b"x: ", HEAD, CHUNKED + b"1;", CHUNKED + b"1\r\n{\r\n0\r\nx: "],
    ids=["path", "header", "headers", "comment of a chunk", "trailer"],
)
async def test_a_request_without_end_is_cut_off(begun):
    more = b"x: y\r\n" * 10_000 if begun == HEAD else b"x" * 60_000
    async with running() as client, await anyio.connect_tcp("127.0.0.1", client.base_url.port) as stream:
        await stream.send(begun)
        with anyio.fail_after(5):
            taken = await sent(stream, more, 1_000)

        assert taken < 1_000 * len(more)
        assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "begun", [b"", b"GET /", HEAD, HEAD + b"\r\n" + HEAD], ids=["none", "path", "headers", "second"]
)
async def test_a_head_that_trickles_in_is_cut_off(monkeypatch, begun):
    monkeypatch.setattr(server, "RECEIVE_SECONDS", 0.1)
    async with running() as client, await anyio.connect_tcp("127.0.0.1", client.base_url.port) as stream:
        await stream.send(begun)
        reply = await received(stream)

    assert reply.count(b"HTTP/1.1 200") == begun.count(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_api_key"),
        ({"authorization": "Bearer"}, 401, "missing_api_key"),
        ({"authorization": "Basic b25l"}, 401, "missing_api_key"),
        ({"authorization": "Bearer three"}, 401, "invalid_api_key"),
        ({"authorization": "Bearer one"}, 200, None),
        ({"authorization": "bearer two"}, 200, None),
    ],
)
async def test_keys(headers, status, code):
    async with running(api_keys=("one", "two")) as client:
        reply = await client.get("/v1/models", headers=headers)

    assert reply.status_code == status
    assert reply.json().get("error", {}).get("code") == code


async def test_all_but_the_public_paths_need_a_key():
    paths = ["/v1/models", "/models", "/v1/nowhere", "/page", "/health/", "/Health", "/v1/runs/a", "/runs/a"]
    async with running(api_keys=("one",)) as client:
        refused = [(await client.get(path)).status_code for path in paths]
        public = [(await client.get(path)).status_code for path in sorted(server.PUBLIC_PATHS)]

    assert refused == [401] * len(paths)
    assert public == [200] * len(server.PUBLIC_PATHS)


async def test_a_browser_that_opens_a_run_is_given_the_page_and_no_record():
    async with running(api_keys=("one",), run_seconds=60) as client:
        opened = await client.get("/runs/a", headers={"accept": "text/html,*/*;q=0.8"})
        files = [await client.get(f"/page/{name}") for name in page.FILES]
        others = [await client.get(path, headers={"accept": "text/html"}) for path in ("/v1/runs/a", "/page/x")]

    assert (opened.status_code, opened.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(each.status_code == 200 and each.headers["content-security-policy"] == page.POLICY for each in files)
    assert [each.status_code for each in others] == [401, 404]


async def test_a_wrong_key_in_the_stock_client():
    async with running(api_keys=("one",)) as client, sdk(client, "wrong") as stock:
        with pytest.raises(openai.AuthenticationError) as raised:
            await stock.models.list()

    assert raised.value.request_id


async def test_models_are_listed_even_when_the_model_is_down():
    async with running() as up, running(tools=FakeTools(up=False)) as down:
        listed = (await up.get("/v1/models")).json()
        anyway = (await down.get("/v1/models")).json()
        one = (await down.get("/v1/models/wellread-chat")).json()

    assert [model["id"] for model in listed["data"]] == ["wellread", "wellread-quick", "wellread-deep", "wellread-chat"]
    assert (listed["data"][0]["context_length"], listed["data"][0]["object"]) == (4096, "model")
    assert len(anyway["data"]) == 4
    assert one["name"] == "Wellread Chat (no search)"


async def test_a_model_that_is_down_is_told_before_the_reply_begins():
    async with running(tools=FakeTools(up=False)) as client:
        reply = await post(client, json=body(stream=True))
        ready = await client.get("/ready")

    assert (reply.status_code, reply.json()["error"]["code"], reply.headers["retry-after"]) == (503, "overloaded", "10")
    assert "x-should-retry" not in reply.headers
    assert (ready.status_code, ready.json()["checks"]) == (503, {"model": "down", "search": "ok"})
    assert ready.json()["engines"] == {"ddgs": "ok", "brave": "cooling: answered 429; asked again in 30 s"}


async def test_search(plain):
    reply = await plain.post("/v1/search", json={"query": "Kafka", "max_chars": 100, "pages": 7, "queries": ["k"]})

    found = reply.json()
    assert (found["object"], found["queries"], len(found["context"])) == ("search.result", ["k"], 100)
    assert found["coverage"]["asked"] == 7


async def wait_until(condition, seconds=3):
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event of its own
            await anyio.sleep(0.005)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_its_work(stream):
    endless = Endless()
    async with running(answer=endless) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(leaving, client, stream)
            await wait_until(lambda: endless.running == 1)
            group.cancel_scope.cancel()
        with anyio.fail_after(1):
            await endless.cancelled.wait()

    assert endless.running == 0


async def leaving(client, stream):
    async with client.stream("POST", "/v1/chat/completions", json=body(stream=stream)) as response:
        await response.aread()


async def test_a_full_house():
    endless = Endless()
    async with running(answer=endless, max_concurrent=1, max_queue=1) as client:
        async with anyio.create_task_group() as first:
            first.start_soon(leaving, client, True)
            await wait_until(lambda: endless.running == 1)
            async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as waiting:
                await anext(aiter(waiting.aiter_lines()))
                full = await post(client, json=body())
                assert endless.started == 1
            first.cancel_scope.cancel()

        assert (full.status_code, full.json()["error"]["code"], full.headers["retry-after"]) == (
            429,
            "queue_full",
            "10",
        )
        async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)):
            await wait_until(lambda: endless.started == 2)


async def test_a_waiting_client_that_leaves_frees_its_place():
    endless = Endless()
    full = running(answer=endless, max_concurrent=1, max_queue=1)
    async with full as client, client.stream("POST", "/v1/chat/completions", json=body(stream=True)):
        await wait_until(lambda: endless.running == 1)
        async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)):
            assert (await post(client, json=body())).status_code == 429
        await anyio.sleep(0.1)
        async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as next_one:
            assert next_one.status_code == 200
    assert endless.started == 1


async def test_those_who_wait_are_served():
    async def short(question, tools, emit):
        await anyio.sleep(0.02)
        await emit(ANSWER)

    statuses = []

    async def one(client):
        statuses.append((await post(client, json=body())).status_code)

    async with running(answer=short, max_concurrent=2, max_queue=6) as client, anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one, client)

    assert statuses == [200] * 8


async def test_cors():
    preflight = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-os",
    }
    async with running(api_keys=("one",)) as client:
        asked = await client.options("/v1/chat/completions", headers={"origin": "https://ui.example", **preflight})
        refused = await client.get("/v1/models", headers={"origin": "https://ui.example"})

    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "*")
    assert asked.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")


async def test_without_keys_only_pages_of_this_machine_may_call(plain):
    near = await plain.get("/v1/models", headers={"origin": "http://localhost:3000"})
    far = await plain.get("/v1/models", headers={"origin": "http://localhost.example.org"})

    assert near.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "access-control-allow-origin" not in far.headers


async def test_faults_outside_the_pipeline_keep_the_shape(caplog):
    tools = FakeTools()
    tools.check = None
    async with running(tools=tools) as client:
        reply = await client.get("/ready", headers={"origin": "http://localhost", "x-request-id": "mine"})

    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal_error")
    assert (reply.headers["x-should-retry"], reply.headers["x-request-id"]) == ("false", "mine")
    assert reply.headers["access-control-allow-origin"] == "http://localhost"
    assert "TypeError" in caplog.text


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("x" * 101, False), ("a b", False)])
async def test_request_ids(plain, given, kept):
    reply = await plain.get("/health", headers={"x-request-id": given})

    assert (reply.headers["x-request-id"] == given) is kept


async def test_the_log_tells_of_requests_but_not_what_was_asked(caplog):
    caplog.set_level(logging.INFO)
    async with running(api_keys=("k3y",)) as client:
        await post(client, json=body("marked-question"), headers={"authorization": "Bearer k3y"})

    assert "POST /v1/chat/completions 200" in caplog.text
    assert "marked-question" not in caplog.text
    assert "k3y" not in caplog.text


async def test_questions_are_logged_when_the_operator_wants_it(caplog):
    caplog.set_level(logging.INFO)
    async with running(log_queries=True) as client:
        await post(client, json=body("marked\nquestion"))

    assert r"marked\nquestion" in caplog.text


async def test_paths_without_v1_work_too(plain):
    assert (await plain.get("/models")).status_code == 200
    assert (await plain.post("/chat/completions", json=body())).status_code == 200


def test_models_says_which_and_why():
    assert "WELLREAD_MODEL_URL is not set" in command.describe_model(Settings())
    told = command.describe_model(Settings(model_url="http://vllm:8000/v1", model_name="r1"))
    assert "r1 at http://vllm:8000/v1" in told
    assert "WELLREAD_EMBEDDED_MODEL says so" in command.describe_model(Settings(embedded_model="echo"))


def test_bad_settings_are_told_plainly(monkeypatch, capsys):
    monkeypatch.setenv("WELLREAD_PORT", "http")

    assert server.main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("WELLREAD_PORT: ")


SERVE = """
import asyncio, sys
from contextlib import asynccontextmanager, suppress
import server, uvloop
from agent.settings import Settings
from agent.types import Text
from tests.test_server import ANSWER, Endless, FakeTools

@asynccontextmanager
async def opened(settings):
    try:
        yield FakeTools()
    finally:
        print("tools closed", flush=True)

async def finishing(question, tools, emit):
    await emit(Text("The beginning "))
    await asyncio.sleep(1)
    await emit(ANSWER)

answer = finishing if sys.argv[1] == "finishing" else Endless()
uvloop.run(server.serve(Settings(port=0, drain_seconds=float(sys.argv[2])), opened, answer))
print("left", flush=True)
"""


def serving_process(answer, drain_seconds):
    command = [sys.executable, "-c", SERVE, answer, str(drain_seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("signals", "drain_seconds"),
    [([signal.SIGTERM], 0), ([signal.SIGINT], 60), ([signal.SIGTERM, signal.SIGTERM], 60)],
    ids=["the limit", "Ctrl-C", "twice"],
)
def test_a_signal_stops_the_server_with_its_streams(signals, drain_seconds):
    with serving_process("endless", drain_seconds) as process:
        said = process.stdout.readline()
        assert said.startswith("Wellread listens on http://127.0.0.1:")
        address = said.split()[-1] + "/v1/chat/completions"
        with httpx2.stream("POST", address, json=body(stream=True), timeout=5, trust_env=False) as response:
            lines = response.iter_lines()
            next(lines)
            start = time.monotonic()
            for number in signals:
                process.send_signal(number)
                time.sleep(0.2)
            *_, last, done = [line for line in lines if line]
            rest = process.stdout.read()
            process.wait(5)

    assert ("The server is stopping" in last, done) == (True, "data: [DONE]")
    assert rest == "tools closed\nleft\n"
    assert process.returncode == 0
    assert time.monotonic() - start < 2


def test_what_runs_may_finish_after_a_signal_and_what_is_new_is_refused():
    with serving_process("finishing", 30) as process:
        base = process.stdout.readline().split()[-1]
        address = f"{base}/v1/chat/completions"
        with httpx2.stream("POST", address, json=body(stream=True), timeout=10, trust_env=False) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            refused = httpx2.post(address, json=body(), trust_env=False)
            ready = httpx2.get(f"{base}/ready", trust_env=False)
            last = [line for line in lines if line][-2:]
        process.wait(5)

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert (ready.status_code, ready.json()["checks"]["server"]) == (503, "is stopping")
    assert json.loads(last[0].removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"
    assert last[1] == "data: [DONE]"
    assert process.returncode == 0


OPENING = """
import sys
from contextlib import asynccontextmanager
import anyio
import server, uvloop
from agent.errors import BadSettings
from agent.settings import Settings
from tests.test_server import FakeTools, tower

@asynccontextmanager
async def opened(settings):
    if await anyio.to_thread.run_sync(sys.stdin.readline) != "go\\n":
        raise BadSettings("WELLREAD_SEARCH: no.")
    yield FakeTools()

try:
    uvloop.run(server.serve(Settings(port=int(sys.argv[1])), opened, tower))
except BadSettings as error:
    print(error, flush=True)
"""


@contextmanager
def opening_process():
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", OPENING, str(port)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client,
    ):
        while process.poll() is None:
            with suppress(httpx2.ConnectError):
                assert client.get("/health").json() == {"status": "ok"}
                break
            time.sleep(0.05)
        yield process, client


def test_while_it_opens_the_server_lives_and_is_not_ready():
    with opening_process() as (process, client):
        ready = client.get("/ready")
        asked = client.post("/v1/chat/completions", json=body())
        process.stdin.write("go\n")
        process.stdin.flush()
        said = process.stdout.readline()
        after = client.get("/ready"), client.post("/v1/chat/completions", json=body())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert (ready.status_code, ready.json()["checks"]) == (503, {"server": "is starting"})
    assert (asked.status_code, asked.json()["error"]["code"], asked.headers["retry-after"]) == (503, "overloaded", "5")
    assert said == f"Wellread listens on {client.base_url}\n".replace("/\n", "\n")
    assert [reply.status_code for reply in after] == [200, 200]


def test_what_cannot_be_opened_stops_the_start_with_its_reason():
    with opening_process() as (process, _):
        process.stdin.write("stop\n")
        process.stdin.flush()
        assert process.stdout.read() == "WELLREAD_SEARCH: no.\n"
        assert process.wait(20) == 0


async def test_a_port_that_is_taken_stops_the_start():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(BadSettings, match=f"WELLREAD_PORT: 127.0.0.1:{number} cannot be listened on"):
            await server.serve(Settings(port=number))


# ---- the Responses API


async def test_the_stock_client_streams_a_response(plain):
    async with sdk(plain) as stock, stock.responses.stream(model="wellread", input="Who built it?") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()

    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == ANSWER.text
    assert final.output[-1].content[0].annotations[0].url == URL
    assert final.usage.total_tokens == 30


async def test_the_stock_client_gets_a_whole_response(plain):
    async with sdk(plain) as stock:
        response = await stock.responses.create(model="wellread", input="Who built it?", metadata={"a": "b"})

    assert response.output_text == ANSWER.text
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.metadata == {"a": "b"}
    assert response.coverage["cited"] == 1


async def test_an_error_in_a_streamed_response_ends_it():
    async with running(answer=broken_search) as client, sdk(client) as stock:
        stream = await stock.responses.create(model="wellread", input="Who built it?", stream=True)
        events_ = [event async for event in stream]

    assert events_[-1].type == "response.failed"
    assert "ddgs" in events_[-1].response.error.message


async def test_an_answer_may_be_referred_to_by_its_id_by_its_owner_alone():
    asked = []

    async def noting(question, tools, emit):
        asked.append(question)
        await tower(question, tools, emit)

    async with running(answer=noting, api_keys=("one", "two")) as client:
        mine, other = ({"authorization": f"Bearer {key}"} for key in ("one", "two"))
        first = (await client.post("/v1/responses", json=ASKED_TWICE, headers=mine)).json()
        reference = {"type": "item_reference", "id": first["output"][-1]["id"]}
        turns = [{"role": "user", "content": "Who?"}, reference, {"role": "user", "content": "And when was it built?"}]
        again = {"model": "wellread", "input": turns}
        second = await client.post("/v1/responses", json=again, headers=mine)
        foreign = await client.post("/v1/responses", json=again, headers=other)

    assert second.status_code == 200
    assert asked[-1].messages[1].content == "Eiffel [1]"
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (400, "item_not_found")


# ---- repeats, limits of keys, long waits


async def test_a_client_that_repeats_itself_gets_the_same_answer_without_new_work():
    answers = []

    async def counting(question, tools, emit):
        answers.append(question)
        await tower(question, tools, emit)

    async with running(answer=counting) as client:
        first = await client.post("/v1/chat/completions", json=body())
        repeat = {"x-stainless-retry-count": "1"}
        second = await client.post("/v1/chat/completions", json=body(), headers=repeat)
        streamed = await client.post("/v1/chat/completions", json=body(stream=True), headers=repeat)
        other = await client.post("/v1/chat/completions", json=body("Who else?"), headers=repeat)
        anew = await client.post("/v1/chat/completions", json=body(), headers={"x-stainless-retry-count": "0"})

    assert len(answers) == 3
    assert {reply.status_code for reply in (first, second, streamed, other, anew)} == {200}
    assert second.json()["choices"] == first.json()["choices"]
    assert second.json()["coverage"] == first.json()["coverage"]
    assert MARK in streamed.text


async def test_what_is_told_again_needs_no_place():
    endless = Endless()

    async def answer(question, tools, emit):
        await (endless if "else" in question.messages[-1].content else tower)(question, tools, emit)

    async with running(answer=answer, max_concurrent=1, max_queue=0) as client, anyio.create_task_group() as group:
        await post(client, json=body())
        group.start_soon(partial(post, client, json=body("Who else?")))
        await wait_until(lambda: endless.running == 1)
        new = await post(client, json=body("Who?"))
        again = await post(client, json=body(), headers={"x-stainless-retry-count": "9" * 5_000})
        group.cancel_scope.cancel()

    assert (new.status_code, again.status_code) == (429, 200)


async def test_who_waited_in_vain_may_come_again():
    app = server.create_app(Settings(), FakeTools(), limits=server.Limits(0.05))
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        for _ in range(app.state.settings.max_concurrent):
            await app.state.door._seats.acquire()
        reply = await post(client, json=body())

    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "queue_full")
    assert "x-should-retry" not in reply.headers


async def test_a_key_is_told_what_is_left_and_refused_beyond_it():
    async with running(api_keys=("one", "two"), key_requests_per_minute=2) as client:
        mine, other = ({"authorization": f"Bearer {key}"} for key in ("one", "two"))
        replies = [await client.post("/v1/chat/completions", json=body(), headers=mine) for _ in range(3)]
        others = await client.post("/v1/chat/completions", json=body(), headers=other)
        models = await client.get("/v1/models", headers=mine)

    left = [reply.headers["x-ratelimit-remaining-requests"] for reply in replies]
    assert ([reply.status_code for reply in replies], left) == ([200, 200, 429], ["1", "0", "0"])
    refused = replies[-1]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
    assert (others.status_code, models.status_code) == (200, 200)


async def test_a_key_may_have_so_many_requests_running():
    endless = Endless()
    async with running(answer=endless, key_concurrent=1) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(leaving, client, False)
            await wait_until(lambda: endless.running)
            refused = await client.post("/v1/search", json={"query": "tower"})
            group.cancel_scope.cancel()
        await wait_until(lambda: not endless.running)
        after = await client.post("/v1/search", json={"query": "tower"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert after.status_code == 200


@pytest.mark.parametrize("answer", [tower, broken_search])
async def test_a_body_that_takes_long_begins_with_blank_lines(answer):
    async def slow(question, tools, emit):
        await anyio.sleep(0.2)
        await answer(question, tools, emit)

    limits = server.Limits(5, keep_alive_seconds=0.02, body_patience_seconds=0.05)
    async with running(answer=slow, limits=limits) as client:
        reply = await client.post("/v1/chat/completions", json=body())

    assert (reply.status_code, reply.content[:2]) == (200, b"\n\n")
    assert set(reply.json()) & {"choices", "error"}


async def test_events_that_wait_are_written_together():
    async def hasty(question, tools, emit):
        for piece in range(60):
            await emit(Text(f"{piece} "))
        await emit(ANSWER)

    async with running(answer=hasty) as client:
        chunks = chunks_of(await client.post("/v1/chat/completions", json=body(stream=True)))
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]

    assert "".join(said) == "".join(f"{piece} " for piece in range(60))


# ---- status events


async def statuses(client, **options):
    return chunks_of(await client.post("/v1/chat/completions", json=body(stream=True), **options))


async def test_progress_as_status_events_when_wanted(plain):
    chunks = await statuses(plain, headers={"x-status": "on"})
    told = [chunk["event"]["data"] for chunk in chunks if "event" in chunk]
    thoughts = "".join(chunk["choices"][0]["delta"].get("reasoning", "") for chunk in chunks)

    assert told == [{"description": "Searching", "done": False}, {"description": "Searching", "done": True}]
    assert thoughts == "Hm."
    assert not any("event" in chunk for chunk in await statuses(plain))
