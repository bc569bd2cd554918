"""What the whole server does when something it depends on fails: dependency by fault, at start and between requests.

`make test-faults`. Search engine, page host, embedder and model are HTTP servers on loopback whose replies go wrong in
one way each; the server is opened as the product opens it. Every cell ends in an answer that tells what it lacks, or in
one error in OpenAI's shape, in time; and once the fault is over the server is well again within ten seconds.
"""

import asyncio
import json
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress

import anyio
import httpcore2
import httpx2
import pytest

from agent.build import open_tools
from agent.settings import Settings
from retrieval.caches.sqlite import SqliteCache
from retrieval.limits import CacheLimits
from server import create_app
from tests import web as local
from tests.test_cache import redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.usefixtures("no_settings")]

FAULTS = ("refused", "silent", "slow", "error", "overloaded", "garbage", "html", "wrong shape", "cut off", "empty")
HARMLESS = {("slow", name) for name in ("search", "pages", "embedder", "model")}
# To a page host HTML is no fault, and there is no other shape of it.
HARMLESS |= {("html", "pages"), ("wrong shape", "pages")}
ANSWER_SECONDS = 14.0
# On a machine that is busy with other things everything takes longer.
SLACK_SECONDS = 10.0
# An answer's own limit, and what closing and the embedder's one attempt may add.
MOST_SECONDS = ANSWER_SECONDS + 2.0 + SLACK_SECONDS
RECOVERY_SECONDS = 10.0 + SLACK_SECONDS
SECRET = "sk-marker-7f31"
NAMED_HOST = "pages.example"
PAGE = "The old pier of Brighton is 525 m long."
WORDS = [
    f"{one}{other}" for one in ("ba", "do", "ki", "lu", "me", "no", "ra", "si") for other in ("lt", "rn", "sk", "ff")
]


@pytest.fixture(autouse=True)
def nothing_private_is_logged(caplog):
    """Hold the log of every fault against what it must not hold: keys, questions, the text of pages."""
    caplog.set_level("INFO")
    yield
    told = caplog.text
    assert not [private for private in (SECRET, "How long is the pier", "525 m") if private in told]


class Dependency:
    """A server on loopback that answers rightly, or goes wrong in one way."""

    def __init__(self, name, reply):
        self.name, self.fault, self._reply = name, None, reply
        self.port, self._server = 0, None
        self.host = "127.0.0.1"
        self._writers = set()

    @property
    def base(self):
        return f"http://{self.host}:{self.port}"

    async def set(self, fault):
        """Begin a fault, or end it: None."""
        self.fault = fault
        if fault == "refused" and self._server:
            self._server.close()
            self._server = None
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)
        elif fault != "refused" and not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _talk(self, reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await reader.readexactly(local.body_bytes(head))
                if self.fault == "silent":
                    await reader.read()
                    break
                if self.fault == "slow":
                    await asyncio.sleep(0.3)
                writer.write(self._written(head.split()[1].decode(), body))
                await writer.drain()
                if self.fault in ("garbage", "cut off", "refused"):
                    break

    def _written(self, path, body):
        kind, right = self._reply(path, body)
        if self.fault == "garbage":
            return b"\x00\xff\x17 this is no HTTP \r\n\r\n"
        status = {"error": "500 Internal", "overloaded": "503 Busy"}.get(self.fault, "200 OK" if right else "404 None")
        wrong = {"html": b"<html><body>Bad gateway</body></html>", "wrong shape": b'{"unexpected": [1]}', "empty": b""}
        sent = wrong.get(self.fault, right or b"")
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
        return head + (sent[: len(sent) // 2] if self.fault == "cut off" else sent)


def found(hosts):
    """Search: two pages on each host."""

    def reply(path, body):
        urls = [f"{host.base}/{number}" for number in (1, 2) for host in hosts]
        results = [{"url": url, "title": "The old pier of Brighton", "content": "pier"} for url in urls]
        return "application/json", json.dumps({"results": results, "unresponsive_engines": []}).encode()

    return reply


def pages_of(name):
    """Serve pages on one subject, no two of which are alike."""

    def reply(path, body):
        if path == "/robots.txt":
            return "text/plain", b"User-agent: *\nAllow: /\n"
        words = random.Random(name + path).choices(WORDS, k=120)
        return "text/html", local.article(f"Pier {path} of {name}", PAGE, " ".join(words).capitalize() + ".")

    return reply


def embedded(path, body):
    texts = json.loads(body)["input"]
    data = [{"index": i, "embedding": [1.0, len(text) % 7, 0.5]} for i, text in enumerate(texts)]
    return "application/json", json.dumps({"data": data}).encode()


def model(path, body):
    if path == "/v1/models":
        return "application/json", b'{"data": [{"id": "some-model", "max_model_len": 32768}]}'
    if path != "/v1/chat/completions":
        return "application/json", b""
    pieces = ["The pier ", "is 525 m ", "long [1]."]
    if not json.loads(body).get("stream"):
        message = {"role": "assistant", "content": "".join(pieces)}
        return "application/json", json.dumps({"choices": [{"message": message}]}).encode()
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode()


@asynccontextmanager
async def dependencies():
    """Start all that the server depends on; `pages` beside a host of pages that is always well."""
    well, pages = Dependency("well", pages_of("well")), Dependency("pages", pages_of("pages"))
    all_of_them = [
        Dependency("search", found((well, pages))), pages, Dependency("embedder", embedded), Dependency("model", model)
    ]  # fmt: skip
    for each in (well, *all_of_them):
        await each.set(None)
    try:
        yield {"well": well, **{each.name: each for each in all_of_them}}
    finally:
        for each in (well, *all_of_them):
            await each.set("refused")


@asynccontextmanager
async def product(around, cache="off", shared=None):
    """Open the server over its dependencies, as its settings say; give a client of it."""
    settings = Settings(
        search=("searxng",),
        searxng_url=around["search"].base,
        model_url=f"{around['model'].base}/v1",
        model_profile="plain",
        model_api_key=SECRET,
        embedder="openai",
        embedder_url=f"{around['embedder'].base}/v1",
        embedder_model="any",
        allow_nets=(f"127.0.0.1/32:{around['well'].port}", f"127.0.0.1/32:{around['pages'].port}"),
        cache=str(cache),
        shared=shared,
        read_seconds=2.0,
        answer_seconds=ANSWER_SECONDS,
    )
    async with AsyncExitStack() as stack:
        tools = await stack.enter_async_context(open_tools(settings))
        base = await stack.enter_async_context(local.serving(create_app(settings, tools)))
        yield await stack.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=60))


async def asked(client, question="How long is the pier?", *, stream=False):
    """Ask a question; give the status and the body, of a stream its last chunks joined."""
    body = {
        "model": "wellread-quick",
        "stream": stream,
        "messages": [{"role": "user", "content": question}],
    }
    reply = await client.post("/v1/chat/completions", json=body)
    return reply.status_code, reply.json() if not stream else reply.text


def check_harmless(status, body):
    assert status == 200, body
    assert "525" in body["choices"][0]["message"]["content"], body


def check(name, fault, status, body):
    """Hold what came of a fault against what is promised for it."""
    assert SECRET not in json.dumps(body)
    if (fault, name) in HARMLESS:
        check_harmless(status, body)
    elif name == "search":
        assert (status, body["error"]["code"]) == (502, "upstream_error"), body
        assert "searxng" in body["error"]["message"]
    elif name == "model":
        assert (status, body["error"]["type"]) in {(502, "server_error"), (503, "server_error"), (504, "server_error")}
    else:
        check_harmless(status, body)
        coverage = body["coverage"]
        lacks = coverage["skipped"] if name == "pages" else [note for note in coverage["notes"] if "words only" in note]
        assert lacks, coverage


async def check_recovery(client, since):
    """Wait until the server answers in full again."""
    with anyio.fail_after(RECOVERY_SECONDS + ANSWER_SECONDS):
        while True:
            sent = time.monotonic()
            status, body = await asked(client)
            if status == 200 and not body["coverage"]["skipped"] and not body["coverage"]["notes"]:
                break
            await anyio.sleep(0.3)
    assert sent - since <= RECOVERY_SECONDS
    check_harmless(status, body)


CELLS = [(name, fault) for name in ("search", "pages", "embedder", "model") for fault in FAULTS]


@pytest.mark.parametrize(("name", "fault"), CELLS)
async def test_between_requests(name, fault):
    async with dependencies() as around, product(around) as client:
        check_harmless(*await asked(client))
        await around[name].set(fault)
        start = time.monotonic()
        check(name, fault, *await asked(client))
        assert time.monotonic() - start <= MOST_SECONDS
        await around[name].set(None)
        await check_recovery(client, time.monotonic())


@pytest.mark.parametrize(("name", "fault"), [cell for cell in CELLS if cell[1] in ("refused", "error", "garbage")])
async def test_at_start(name, fault):
    async with dependencies() as around:
        await around[name].set(fault)
        async with product(around) as client:
            check(name, fault, *await asked(client))
            ready = (await client.get("/ready")).json()
            assert ready["checks"].get(name, "a fault") != "ok", ready
            await around[name].set(None)
            await check_recovery(client, time.monotonic())


@pytest.mark.parametrize("fault", ["cut off", "silent"])
async def test_a_model_that_fails_in_the_middle_of_a_stream_ends_it_with_an_error(fault):
    async with dependencies() as around, product(around) as client:
        assert (await asked(client, stream=True))[1].rstrip().endswith("data: [DONE]")
        await around["model"].set(fault)
        _, text = await asked(client, stream=True)
        assert '"error"' in text
        assert SECRET not in text
        await around["model"].set(None)
        await check_recovery(client, time.monotonic())


# ---- the cache: an answer never needs it


class Disk:
    """The folder of a cache in a file; its faults."""

    def __init__(self, folder):
        self.cache = folder / "cache.sqlite"
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._other = None

    async def set(self, fault):
        """Begin a fault, or end it: None."""
        if fault == "full":
            # What the kernel says of a disk that is full, it says of a file that may not grow.
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))
        elif fault == "locked":
            self._other = sqlite3.connect(self.cache, isolation_level=None)
            self._other.execute("BEGIN EXCLUSIVE")
        elif fault == "broken":
            with closing(sqlite3.connect(self.cache)) as other:
                other.execute("ALTER TABLE entries RENAME TO other")
        else:
            await self._end()

    async def _end(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        if self._other:
            self._other.close()
        with closing(sqlite3.connect(self.cache)) as other, suppress(sqlite3.OperationalError):
            other.execute("ALTER TABLE other RENAME TO entries")


class Wire:
    """What lies between the server and a Redis; its faults."""

    def __init__(self, redis_port):
        self._redis_port, self._fault, self._server, self._port = redis_port, None, None, 0
        self._writers = set()

    @property
    def cache(self):
        return f"redis://127.0.0.1:{self._port}/0"

    async def set(self, fault):
        """Begin a fault, or end it: None."""
        self._fault = fault
        for writer in self._writers:
            writer.transport.abort()
        if fault == "refused" and self._server:
            self._server.close()
            self._server = None
        elif fault != "refused" and not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            if self._fault == "silent":
                await reader.read()
            elif self._fault == "garbage":
                writer.write(b"\x00\xff no Redis\r\n" * 9)
            elif self._fault != "cut off":
                await self._pass_on(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass_on(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._redis_port)
        with suppress(ConnectionError):
            await asyncio.gather(_copied(reader, back), _copied(there, writer))


async def _copied(reader, writer):
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.fixture(scope="module")
def redis_port():
    with redis_server() as port:
        yield port


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        *(("disk", fault) for fault in ("full", "locked", "broken")),
        *(("redis", fault) for fault in ("refused", "silent", "garbage", "cut off")),
    ],
)
async def test_a_cache_that_fails_is_done_without_and_told(tmp_path, redis_port, kind, fault):
    store = Disk(tmp_path) if kind == "disk" else Wire(redis_port)
    await store.set(None)
    async with dependencies() as around, product(around, store.cache) as client:
        check_harmless(*await asked(client))
        try:
            await store.set(fault)
            start = time.monotonic()
            check_harmless(*await asked(client, "Who built the pier, and how long is it?"))
            assert time.monotonic() - start <= MOST_SECONDS
            assert "cache" in (await client.get("/ready")).json()["degraded"]
        finally:
            await store.set(None)
        await check_undegraded(client, time.monotonic())
        await store.set("refused" if kind == "redis" else None)


@pytest.mark.parametrize("fault", ["refused", "silent", "garbage", "cut off"])
async def test_what_replicas_share_fails_and_each_goes_on_alone_and_tells(redis_port, fault):
    store = Wire(redis_port)
    await store.set(None)
    async with dependencies() as around, product(around, shared=store.cache) as client:
        check_harmless(*await asked(client))
        try:
            await store.set(fault)
            start = time.monotonic()
            check_harmless(*await asked(client))
            assert time.monotonic() - start <= MOST_SECONDS
            assert "shared" in (await client.get("/ready")).json()["degraded"]
        finally:
            await store.set(None)
        await check_undegraded(client, time.monotonic())
        await store.set("refused")


async def check_undegraded(client, since):
    """Wait until nothing is told to fail."""
    while (await client.get("/ready")).json()["degraded"]:
        assert time.monotonic() - since <= RECOVERY_SECONDS
        await anyio.sleep(0.5)
        check_harmless(*await asked(client, f"How long is the pier, in {time.monotonic()} words?"))


# ---- names


LIES = {"inward": ["169.254.169.254"], "one of two": ["127.0.0.1", "10.0.0.1"]}


class Names:
    """The resolver of names, of which only one is asked for; its faults."""

    def __init__(self):
        self.fault = None

    async def look_up(self, host, port):
        assert host == NAMED_HOST
        if self.fault == "unknown":
            raise httpcore2.ConnectError("cannot resolve the name")
        if self.fault == "silent":
            await anyio.sleep_forever()
        if self.fault == "slow":
            await anyio.sleep(0.3)
        return LIES.get(self.fault, ["127.0.0.1"])


@pytest.mark.parametrize("fault", ["unknown", "silent", "slow", *LIES])
async def test_names_that_do_not_resolve_cost_their_pages_alone(monkeypatch, fault):
    names = Names()
    monkeypatch.setattr("retrieval.guard.look_up", names.look_up)
    async with dependencies() as around, product(around) as client:
        around["pages"].host = NAMED_HOST
        check_harmless(*await asked(client))
        names.fault = fault
        # No name is asked for as long as a connection to it is kept.
        await around["pages"].set("refused")
        await around["pages"].set(None)
        start = time.monotonic()
        check("pages", fault, *await asked(client))
        assert time.monotonic() - start <= MOST_SECONDS
        names.fault = None
        await check_recovery(client, time.monotonic())


WRITES = """
import os, sys
from pathlib import Path
from retrieval.caches.sqlite import SqliteCache
from retrieval.limits import CacheLimits
cache = SqliteCache(Path(sys.argv[1]), CacheLimits())
for number in range(10**9):
    cache.put_many({f"{number}-{part}".encode(): number.to_bytes(8, "big") * 4_000 for part in range(4)}, 600)
    print(number, flush=True)
"""


@pytest.mark.parametrize("written", [1, 7, 30])
def test_a_process_that_is_killed_while_it_writes_leaves_a_cache_that_can_be_read(tmp_path, written):
    path = tmp_path / "cache.sqlite"
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True) as process:
            last = [int(process.stdout.readline()) for _ in range(written)][-1]
            process.send_signal(signal.SIGKILL)
        with closing(SqliteCache(path, CacheLimits())) as cache:
            kept = cache.get_many([f"{last}-{part}".encode() for part in range(4)])
        assert kept == {f"{last}-{part}".encode(): last.to_bytes(8, "big") * 4_000 for part in range(4)}
