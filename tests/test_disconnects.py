"""Clients that leave, at every stage of an answer: what worked for them stops, and nothing of it stays."""

import asyncio
import os
import random
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

import server
from agent.models.echo import EchoModel
from agent.types import Text, Thinking
from retrieval.types import Hit
from tests import web as local
from tests.test_pipeline import ASKED, piers

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]
STAGES = ("planning", "search", "fetch", "rounds", "prefill", "thinking", "answer")
# What a real server may take to hear that a client has left; a test waits no longer.
IDLE_SECONDS = 2.0
DISCONNECTS = 100
GROWN_BYTES = 16_000_000


class Stuck:
    """The stage at which all work stops, and how much is stopped there now."""

    def __init__(self, stage: str) -> None:
        self.stage, self.working, self.ended = stage, 0, 0

    async def at(self, stage: str) -> None:
        if stage != self.stage:
            return
        self.working += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.working -= 1
            self.ended += 1


class StuckModel(EchoModel):
    def __init__(self, stuck: Stuck) -> None:
        super().__init__()
        self.stuck = stuck

    async def stream(self, prompt):
        if prompt.schema:
            await self.stuck.at("rounds" if "missing" in prompt.schema["properties"] else "planning")
        else:
            await self.stuck.at("prefill")
        async for event in super().stream(prompt):
            if isinstance(event, Thinking):
                await self.stuck.at("thinking")
            if isinstance(event, Text) and not prompt.schema:
                await self.stuck.at("answer")
            yield event


class StuckEngine:
    name = "stuck"

    def __init__(self, stuck: Stuck, hits: tuple[Hit, ...]) -> None:
        self.stuck, self.hits = stuck, hits

    async def search(self, query, page):
        await self.stuck.at("search")
        return self.hits if page == 1 else ()


class StuckFetcher:
    def __init__(self, stuck: Stuck, fetcher) -> None:
        self.stuck, self.fetcher = stuck, fetcher

    async def fetch(self, hit):
        await self.stuck.at("fetch")
        return await self.fetcher.fetch(hit)


@asynccontextmanager
async def serving(tools):
    app = server.create_app(tools.settings, tools)
    async with (
        local.serving(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False, verify=False) as client,
    ):
        yield client


def body(*, stream: bool = True) -> dict:
    return {"model": "wellread-deep", "messages": [{"role": "user", "content": ASKED}], "stream": stream}


async def until(condition, seconds: float = IDLE_SECONDS) -> None:
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - others tell by a figure
            await anyio.sleep(0.01)


@contextmanager
def no_task_left():
    """Hold that what runs afterwards ran before, but for the web of the test, which keeps its connections."""
    before = asyncio.all_tasks()
    yield
    left = (task for task in asyncio.all_tasks() - before if not task.done())
    assert [task for task in left if task.get_coro().__qualname__ != "Web.serve"] == []


async def ask(client, *, stream: bool) -> None:
    async with client.stream("POST", "/v1/chat/completions", json=body(stream=stream)) as reply:
        await reply.aread()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_that_leaves_ends_the_stage_that_works_for_it(web, equipped, stage, stream):
    stuck = Stuck(stage)
    async with equipped(StuckEngine(stuck, piers(web, 4)), model=StuckModel(stuck)) as tools:
        tools.fetcher = StuckFetcher(stuck, tools.fetcher)
        async with serving(tools) as client:
            with no_task_left():
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(lambda: ask(client, stream=stream))
                    await until(lambda: stuck.working, 5)
                    leaving.cancel_scope.cancel()
                await until(lambda: not stuck.working)
                await until(lambda: not web.open)
                await anyio.sleep(0.05)  # the connection itself is closed by a task of uvicorn's
            assert stuck.ended


def footprint() -> tuple[int, int]:
    """Return the bytes of memory and the open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir()))


async def leave_soon(client, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await ask(client, stream=True)


async def test_a_hundred_clients_that_leave_whenever_leave_nothing_behind(web, equipped):
    draw = random.Random(1)
    async with equipped(StuckEngine(Stuck("none"), piers(web, 6)), model=EchoModel(0.002)) as tools:
        tools.rank_limiter.total_tokens = 4
        async with serving(tools) as client:
            for _ in range(10):
                await leave_soon(client, draw.uniform(0, 0.3))
            await anyio.sleep(0.3)
            memory, files = footprint()
            with no_task_left():
                for _ in range(DISCONNECTS):
                    await leave_soon(client, draw.uniform(0, 0.1))
                await until(lambda: not web.open)
                await anyio.sleep(0.3)
            after, open_files = footprint()
    assert open_files <= files + 8  # kept connections to the web's pages
    assert after - memory < GROWN_BYTES
