"""The memory beside the web: the whole way over HTTP, outages, recordings, and what is kept of what."""

import io
import logging
import shutil
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from agent import pipeline
from agent.build import open_tools
from agent.errors import BadSettings
from agent.plan import unaided
from agent.rerun import record, replay
from agent.settings import Settings
from agent.types import Message, Question
from server import create_app
from tests import web as local
from tests.test_rerun import Searched, screen

pytestmark = pytest.mark.anyio
QUESTION = "How long is the bridge of Zazil?"
BRIDGES = ("Zazil", "Morwen", "Orsk", "Tiliko", "Basba", "Ugliano")


async def ignored(event) -> None:
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def bridges():
    """Run a web of bridges with a search engine over it."""
    async with local.running(Searched()) as web:
        for number, name in enumerate(BRIDGES):
            said = f"The bridge of {name} is {500 + number} m long and was built of stone in {1700 + number}. " * 3
            web.page(f"/{number}", local.article(f"Bridge of {name}", said))
        yield web


def settings(web, memory, **given):
    nets = (f"127.0.0.1/32:{web.port}",)
    given = {"search": ("searxng",), "searxng_url": web.base, "allow_nets": nets, "embedder": "hashing"} | given
    return Settings(embedded_model="echo", memory=str(memory), **given)


async def read(tools, text=QUESTION):
    question = Question((Message("user", text),))
    return await pipeline.read(question, unaided(question), tools, ignored)


@asynccontextmanager
async def served(chosen):
    async with open_tools(chosen) as tools, local.serving(create_app(chosen, tools)) as base:
        async with httpx2.AsyncClient(base_url=base, timeout=30) as client:
            yield client


async def test_the_second_question_finds_its_page_in_the_memory_while_the_web_is_gone(tmp_path):
    async with bridges() as web:
        chosen = settings(web, tmp_path / "memory")
        async with served(chosen) as client:
            first = (await client.post("/v1/search", json={"query": QUESTION})).json()
    async with served(chosen) as client:
        second = (await client.post("/v1/search", json={"query": QUESTION})).json()
        ready = (await client.get("/ready")).json()
    assert "500 m long" in first["context"]
    assert "500 m long" in second["context"]
    assert second["coverage"]["cached"] == second["coverage"]["read"] > 0
    reports = {each["name"]: each for each in second["coverage"]["engines"]}
    assert reports["searxng"]["status"] == "failed"
    assert reports["memory"]["status"] == "ok"
    assert "memory" not in ready["degraded"]
