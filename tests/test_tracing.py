"""The spans of a run, as a collector would be sent them; and what the model's server is told of the trace."""

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.to_thread
import httpx2
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import server
from agent.build import open_tools
from agent.errors import BadSettings
from agent.settings import Settings
from agent.tracing import Tracing
from retrieval.types import Hit
from tests import web as local
from tests.test_faults import model
from tests.test_pipeline import ASKED, Engine, piers
from tests.test_server import body as asking

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@asynccontextmanager
async def traced(tools, **options):
    """Serve with traces; gives a client, and what returns the finished spans."""
    exporter = InMemorySpanExporter()
    tracing = await anyio.to_thread.run_sync(Tracing, exporter)

    async def spans():
        await anyio.to_thread.run_sync(tracing.close)
        return exporter.get_finished_spans()

    app = server.create_app(Settings(), replace(tools, model=tracing.model(tools.model)), tracing=tracing, **options)
    async with local.serving(app) as base, httpx2.AsyncClient(base_url=base, timeout=20) as client:
        yield client, spans


async def ask(client, **headers):
    messages = [{"role": "user", "content": ASKED}]
    return await client.post("/v1/chat/completions", json=asking(messages=messages), headers=headers)


async def test_a_run_has_spans_for_its_stages_pages_and_model_calls(web, equipped):
    hits = (*piers(web, 3), Hit(web.page("/gone", b"", status=404), "Gone"))
    async with equipped(Engine(hits)) as tools, traced(tools) as (client, spans):
        done = (await ask(client, traceparent=PARENT)).json()
        made = await spans()

    (run,) = [span for span in made if span.name == "run"]
    assert {f"{span.context.trace_id:032x}" for span in made} == {TRACE}
    assert run.attributes["wellread.run.outcome"] == "completed"
    assert run.attributes["wellread.pages.read"] == 3
    (read,) = [span for span in made if span.name == "read"]
    pages = [span for span in made if span.name == "page"]
    assert sorted(span.attributes["wellread.page.outcome"] for span in pages) == ["not_found", "read", "read", "read"]
    assert {span.parent.span_id for span in pages} == {read.context.span_id}
    assert all(span.start_time <= span.end_time <= read.end_time for span in pages)
    calls = [span for span in made if span.name.startswith("chat ")]
    assert {span.parent.span_id for span in calls} == {run.context.span_id}
    answering = calls[-1].attributes
    assert answering["gen_ai.operation.name"] == "chat"
    assert 0 < answering["gen_ai.usage.output_tokens"] <= done["usage"]["completion_tokens"]
    assert answering["gen_ai.response.finish_reasons"] == ("stop",)
    assert run.start_time <= calls[-1].start_time <= calls[-1].end_time <= run.end_time


async def test_no_span_holds_what_was_asked_or_read(web, equipped):
    async with equipped(Engine(piers(web, 3))) as tools, traced(tools) as (client, spans):
        await ask(client)
        told = " ".join(span.to_json() for span in await spans())

    assert '"page"' in told
    assert "pier" not in told.lower()
    assert "brighton" not in told.lower()


async def test_a_run_that_fails_says_so(equipped):
    async def failing(question, tools, emit):
        raise RuntimeError("a fault of this one: brighton")

    async with equipped(Engine(())) as tools, traced(tools, answer=failing) as (client, spans):
        await ask(client)
        (run,) = await spans()

    assert run.attributes["error.type"] == "internal_error"
    assert not run.status.is_ok
    assert "brighton" not in run.to_json()


async def closed(writer):
    writer.close()
    await writer.wait_closed()


async def head_of(reader):
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def greeted(reply, **headers):
    """Ask for a greeting, before a model's server that gives `reply(head, body)`; gives what came, and the spans."""

    async def serve(reader, writer):
        while head := await head_of(reader):
            kind, said = reply(head.decode(), await reader.readexactly(local.body_bytes(head)))
            first = f"HTTP/1.1 {'200 OK' if said else '404 None'}\r\nContent-Type: {kind}\r\n"
            writer.write(f"{first}Content-Length: {len(said)}\r\n\r\n".encode() + said)
        await closed(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        chosen = Settings(search=("ddgs",), embedder="none", cache="off", model_url=url, model_profile="plain")
        async with open_tools(chosen) as tools, traced(tools) as (client, spans):
            body = asking(model="wellread-chat", messages=[{"role": "user", "content": "Write a greeting."}])
            came = await client.post("/v1/chat/completions", json=body, headers=headers)
            return came, await spans()


async def test_the_models_server_is_told_of_the_trace():
    heads = []

    def reply(head, body):
        heads.append((path := head.split()[1], head.lower()))
        return model(path, body)

    came, made = await greeted(reply, traceparent=PARENT, baggage="user=brighton")

    assert not any("brighton" in head for _, head in heads)
    assert came.status_code == 200, came.text
    call = [span for span in made if span.name.startswith("chat ")][-1]
    told = [head for path, head in heads if path == "/v1/chat/completions"][-1]
    assert f"traceparent: 00-{TRACE}-{call.context.span_id:016x}-01" in told


async def test_no_span_holds_what_a_model_said_in_another_shape():
    def reply(head, body):
        kind, said = model(head.split()[1], body)
        streamed = b'"stream":true' in body.replace(b" ", b"")
        return kind, b'data: {"choices": [{"delta": {"content": ["brighton"]}}]}\n\n' if streamed else said

    came, made = await greeted(reply)

    (call,) = [span for span in made if span.name.startswith("chat ")]
    assert came.status_code == 502
    assert call.attributes["error.type"] == came.json()["error"]["code"]
    assert "brighton" not in " ".join(span.to_json() for span in made)


async def test_traces_need_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "agent.tracing", None)
    with pytest.raises(BadSettings, match=r"wellread\[tracing\]"):
        async with server._traces(Settings(otlp_url="http://127.0.0.1:1/v1/traces")):
            pass


async def test_spans_go_where_the_setting_says():
    got = asyncio.Event()

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(local.body_bytes(head))
        if head.startswith(b"POST /v1/traces "):
            got.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await closed(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/traces"
        async with server._traces(Settings(otlp_url=url)) as tracing:
            tracing.run("run", {}).end()
    assert got.is_set()
