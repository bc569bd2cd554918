"""Measures what streaming costs: from a model's token to its byte at the client, with many streams at once.

    python -m tests.benchmarks.streaming [--streams 200] [--rate 50] [--tokens 500]

A scripted model gives tokens that name the moment they were made, by the clock, in letters as words have them; clients
in a process of their own read that clock when the token's bytes arrive, so its reading and the kernel are in the figure
too. Beside it the plain way: the same tokens written as chunks by a bare streaming response. Needs no test data.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

import anyio
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

import server
from agent.build import open_tools
from agent.models.echo import EchoModel
from agent.reason import Finished, ModelEvent, Prompt
from agent.settings import Settings
from agent.types import Text, Usage
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

STAMP = re.compile(rb'"content":"([a-j ]+)"')
TO_LETTERS = str.maketrans("0123456789", "abcdefghij")
TO_DIGITS = bytes.maketrans(b"abcdefghij", b"0123456789")
# Streams begin one after another, as people do.
APART_SECONDS = 0.01


async def stamps(rate: float, tokens: int) -> AsyncIterator[str]:
    """Give tokens that name their moment in nanoseconds, at a rate that the clock keeps."""
    start = time.monotonic()
    for number in range(tokens):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield f"{time.monotonic_ns()} ".translate(TO_LETTERS)


class StampedModel(EchoModel):
    """The scripted model, saying moments."""

    def __init__(self, rate: float, tokens: int) -> None:
        super().__init__()
        self._pace = rate, tokens

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Say moments."""
        async for stamp in stamps(*self._pace):
            yield Text(stamp)
        yield Finished(Usage(1, self._pace[1]), "stop")


async def serve_ours(port: int, streams: int, model: StampedModel) -> None:
    """Serve the product over the stamped model."""
    settings = Settings(
        search=("sample",),
        embedder="hashing",
        embedded_model="echo",
        cache=SecretStr("off"),
        max_concurrent=streams * 2,
    )
    async with open_tools(settings) as tools:
        tools.model = model
        await _listen(server.create_app(settings, tools), port)


async def serve_plain(port: int, rate: float, tokens: int) -> None:
    """Serve the same tokens by the framework alone."""

    async def chat(request: Request) -> StreamingResponse:
        await request.json()
        return StreamingResponse(_plain_chunks(rate, tokens), media_type="text/event-stream")

    async def ready(request: Request) -> StreamingResponse:
        return StreamingResponse(iter(()))

    routes = [Route("/v1/chat/completions", chat, methods=["POST"]), Route("/ready", ready)]
    await _listen(Starlette(routes=routes), port)


async def _plain_chunks(rate: float, tokens: int) -> AsyncIterator[str]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    yield f"data: {json.dumps({**head, 'choices': [{'index': 0, 'delta': {'role': 'assistant', 'content': ''}}]})}\n\n"
    async for stamp in stamps(rate, tokens):
        choice = {"index": 0, "delta": {"content": stamp}, "logprobs": None, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]}, separators=(',', ':'))}\n\n"
    yield "data: [DONE]\n\n"


async def _listen(app: ASGIApp, port: int) -> None:
    await uvicorn.Server(server.http_config(app, port=port)).serve()


@dataclass(slots=True)
class Seen:
    """What one client saw: seconds to the first byte, ms of delay of each token, seconds from first token to last."""

    first_byte: float = 0.0
    delays: list[float] = field(default_factory=list)
    lasted: float = 0.0


async def watch(port: int, after: float) -> Seen:
    """Ask once, and note when what arrives."""
    await asyncio.sleep(after)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = {"model": "wellread-chat", "stream": True, "messages": [{"role": "user", "content": "Count on."}]}
    body = json.dumps(asked).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    start = time.monotonic()
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    seen, began, last = Seen(), 0.0, 0.0
    while True:
        line = await reader.readline()
        now = time.monotonic_ns()
        if line.startswith(b"data:") and not seen.first_byte:
            seen.first_byte = now / 1e9 - start
        if b"[DONE]" in line or not line:
            break
        if found := STAMP.search(line):
            seen.delays += [(now - int(stamp)) / 1e6 for stamp in found[1].translate(TO_DIGITS).split()]
            began, last = began or now / 1e9, now / 1e9
    writer.close()
    seen.lasted = last - began
    return seen


async def watch_all(port: int, streams: int) -> list[Seen]:
    """Ask many times at once."""
    return await asyncio.gather(*(watch(port, APART_SECONDS * number) for number in range(streams)))


@contextmanager
def serving(kind: str, arguments: argparse.Namespace) -> Iterator[int]:
    """Run one of the servers in a process of its own; gives its port."""
    port = servers.free_port()
    options = ["--streams", str(arguments.streams), "--rate", str(arguments.rate), "--tokens", str(arguments.tokens)]
    command = [sys.executable, "-m", "tests.benchmarks.streaming", "--serve", kind, "--port", str(port), *options]
    with servers.running(command, {}, f"http://127.0.0.1:{port}/ready"):
        yield port


def row(name: str, streams: int, seen: list[Seen], arguments: argparse.Namespace) -> list[object]:
    """Write the figures of one run."""
    delays = [delay for one in seen for delay in one.delays]
    centiles = quantiles(delays, n=100)
    kept = median((len(one.delays) - 1) / one.lasted for one in seen)
    first = [one.first_byte * 1000 for one in seen]
    complete = sum(len(one.delays) == arguments.tokens for one in seen)
    return [name, streams, complete, median(delays), centiles[94], centiles[98], kept, median(first), max(first)]


HEAD = (
    "server", "streams", "complete", "token to client ms, median", "95 %", "99 %", "tokens/s a stream, median",
    "first byte ms, median", "slowest",
)  # fmt: skip


def main() -> None:
    """Run the benchmark, or one of its servers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--serve", choices=("ours", "plain"))
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.serve == "ours":
        anyio.run(serve_ours, chosen.port, chosen.streams, StampedModel(chosen.rate, chosen.tokens))
        return
    if chosen.serve == "plain":
        anyio.run(serve_plain, chosen.port, chosen.rate, chosen.tokens)
        return
    rows: list[list[object]] = []
    for kind in ("ours", "plain"):
        with serving(kind, chosen) as port:
            counts = (1, chosen.streams)
            rows += [row(kind, count, asyncio.run(watch_all(port, count)), chosen) for count in counts]
    write("streaming", table(HEAD, rows))


if __name__ == "__main__":
    main()
