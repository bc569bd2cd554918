"""The main job with every real part but the models: sample web, fetch, clean, rank, pack, and a stock OpenAI client."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import openai
import pytest

import server
from agent.build import open_tools
from agent.models.echo import EchoModel
from agent.settings import Settings
from retrieval.guard import Guard, parse_allowed_net
from retrieval.types import Hit
from tests import web as local

pytestmark = pytest.mark.anyio
QUESTION = "How do I copy a directory tree in Python?"


@pytest.fixture(scope="module")
async def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    settings = Settings(search=("sample",), embedder="hashing", embedded_model="echo", models_dir=folder, cache="off")
    async with open_tools(settings) as opened:
        yield opened


@asynccontextmanager
async def serving(tools):
    app = server.create_app(tools.settings, tools)
    async with (
        local.serving(app) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as client,
    ):
        yield client


def asked(text=QUESTION, **options):
    return {"model": "wellread", "messages": [{"role": "user", "content": text}], **options}


async def test_the_openai_client_gets_a_cited_answer(tools):
    async with serving(tools) as client:
        reply = await client.chat.completions.create(**asked())
    message, coverage = reply.choices[0].message, reply.coverage
    assert coverage["read"] >= 40
    assert coverage["asked"] == coverage["read"] + sum(coverage["skipped"].values())
    read = {page["url"] for page in coverage["pages"] if page["status"] == "read"}
    assert message.annotations
    for annotation in message.annotations:
        cited = annotation.url_citation
        assert cited.url in read
        assert cited.url in message.content[cited.start_index : cited.end_index]
    assert any("shutil" in url for url in reply.citations)
    assert "webpages" in message.reasoning_content
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


async def test_the_stream_shows_reading_then_thought_then_answer(tools):
    async with serving(tools) as client:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked(**options))]
    kinds = [kind for chunk in chunks if chunk.choices for kind in chunk.choices[0].delta.model_dump(exclude_none=True)]
    assert kinds[0] == "content"
    assert kinds.index("reasoning") < len(kinds) - 1 - kinds[::-1].index("content")
    assert kinds.count("annotations") == 1
    last = next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason)
    assert last.coverage["cited"] == len(last.citations) > 0
    assert chunks[-1].usage.completion_tokens > 0


async def test_a_russian_question_is_told_of_in_russian(tools):
    async with serving(tools) as client:
        text = "Как в Python прочитать файл JSON через модуль json?"
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked(text, stream=True))]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    said = "".join(getattr(delta, "reasoning_content", "") for delta in deltas)
    assert said.startswith("Ищу в сети")
    assert "Прочитано страниц: 50" in said
    assert chunks[-1].citations


SCHEMA = {"type": "object", "properties": {"module": {"type": "string"}}, "required": ["module"]}


async def test_an_answer_in_a_schema_has_no_marks_but_lists_its_sources(tools):
    form = {"type": "json_schema", "json_schema": {"name": "m", "schema": SCHEMA}}
    async with serving(tools) as client:
        reply = await client.chat.completions.create(**asked(response_format=form))
        response = await client.responses.create(
            model="wellread", input=QUESTION, text={"format": {"type": "json_schema", "name": "m", "schema": SCHEMA}}
        )
    message = reply.choices[0].message
    assert set(json.loads(message.content)) == set(json.loads(response.output_text)) == {"module"}
    assert not message.annotations
    assert len(reply.citations) == reply.coverage["used"] > 0
    assert response.text.format.type == "json_schema"


async def test_where_nothing_was_read_an_answer_in_a_schema_is_refused(tools):
    form = {"type": "json_object"}
    async with serving(tools) as client:
        options = {"response_format": form, "extra_body": {"search_domain_filter": ["nowhere.example"]}}
        reply = await client.chat.completions.create(**asked(**options))
        stream = await client.chat.completions.create(**asked(stream=True, **options))
        refusals = [chunk.choices[0].delta.refusal async for chunk in stream]
    message = reply.choices[0].message
    assert (message.content, message.refusal) == ("", "".join(filter(None, refusals)))
    assert "not read a single page" in message.refusal


async def test_a_client_may_limit_pages_and_marks(tools):
    async with serving(tools) as client:
        few = await client.chat.completions.create(**asked(extra_body={"max_returned_urls": 1}))
        bare = await client.chat.completions.create(**asked(extra_body={"max_annotations": 0}))
    assert (few.coverage["used"], len(few.citations)) == (1, 1)
    assert "[[1]](" in bare.choices[0].message.content
    assert (bare.choices[0].message.annotations, len(bare.citations)) == ([], bare.coverage["cited"])


async def test_without_reasoning_when_the_client_wants_none(tools):
    async with serving(tools) as client:
        options = [{"reasoning_effort": "none"}, {"extra_body": {"thinking": {"type": "disabled"}}}]
        replies = [await client.chat.completions.create(**asked(**each)) for each in options]
    for reply in replies:
        assert reply.usage.completion_tokens_details.reasoning_tokens == 0
        assert reply.citations


async def test_closing_the_stream_stops_the_generation(tools):
    model = Watched(delay_seconds=0.05)
    given, tools.model = tools.model, model
    try:
        async with serving(tools) as client:
            stream = await client.chat.completions.create(**asked(stream=True))
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            await stream.close()
            with anyio.fail_after(1):
                await model.ended.wait()
    finally:
        tools.model = given
    assert not model.finished


async def test_closing_the_stream_stops_the_fetches(tools):
    async with local.running() as web:
        hits = tuple(Hit(web.page(f"/{n}", b"x", delay=30), "T") for n in range(20))
        given, tools.engines = tools.engines, [Hanging(hits)]
        tools.fetcher._guard = Guard((*tools.fetcher._guard.allowed, parse_allowed_net(f"127.0.0.1/32:{web.port}")))
        tools.fetcher._pool._network_backend._guard = tools.fetcher._guard
        try:
            async with serving(tools) as client:
                stream = await client.chat.completions.create(**asked(stream=True))
                async for _ in stream:
                    if web.open:
                        break
                    await anyio.sleep(0.01)
                await stream.close()
                with anyio.fail_after(1):
                    while web.connected:  # noqa: ASYNC110 - the web counts its sockets
                        await anyio.sleep(0.01)
        finally:
            tools.engines = given


class Watched(EchoModel):
    """The scripted model, watched for how it ends."""

    def __init__(self, delay_seconds: float) -> None:
        super().__init__(delay_seconds)
        self.ended, self.finished = anyio.Event(), False

    async def stream(self, prompt):
        if prompt.schema:
            async for event in super().stream(prompt):
                yield event
            return
        try:
            async for event in super().stream(prompt):
                yield event
            self.finished = True
        finally:
            self.ended.set()


@dataclass
class Hanging:
    """An engine whose pages never answer."""

    hits: tuple[Hit, ...]
    name: str = "hanging"

    async def search(self, query, page):
        return self.hits if page == 1 else ()
