"""The OpenAPI document: complete, true to what is served, and readable."""

import json
from html.parser import HTMLParser

import httpx2
import pytest
from jsonschema_rs import Draft202012Validator, meta
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

import server
from agent.settings import Settings
from tests.test_server import ASKED_TWICE, FakeTools, body, chunks_of, one_reading, tower
from tests.web import serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def served():
    app = server.create_app(Settings(run_seconds=60), FakeTools(), answer=tower, read=one_reading)
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        yield client, (await client.get("/openapi.json")).json()


async def test_every_route_is_described(served):
    _, document = served
    assert set(document["paths"]) == {
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/search",
        "/v1/runs/{id}",
        "/v1/models",
        "/v1/models/{model}",
        "/health",
        "/metrics",
        "/ready",
        "/version",
    }
    for verbs in document["paths"].values():
        for operation in verbs.values():
            assert "422" not in operation["responses"]
            assert operation["summary"]


async def test_every_reference_leads_somewhere(served):
    _, document = served
    names = set(document["components"]["schemas"])
    text = json.dumps(document)
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= names
    for schema in document["components"]["schemas"].values():
        meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})


def valid(document, name, value):
    whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(whole).validate(value)
    return value


async def test_replies_are_as_described(served):
    client, document = served
    done = valid(document, "ChatCompletion", (await client.post("/v1/chat/completions", json=body())).json())
    valid(document, "Run", (await client.get(f"/v1/runs/{done['id']}")).json())
    valid(document, "Error", (await client.get("/v1/runs/none")).json())
    valid(document, "Response", (await client.post("/v1/responses", json=ASKED_TWICE)).json())
    valid(document, "SearchReply", (await client.post("/v1/search", json={"query": "tower"})).json())
    valid(document, "ModelList", (await client.get("/v1/models")).json())
    valid(document, "Model", (await client.get("/v1/models/wellread")).json())
    valid(document, "Error", (await client.post("/v1/chat/completions", json={})).json())
    valid(document, "Error", (await client.get("/nowhere")).json())
    valid(document, "Health", (await client.get("/health")).json())
    valid(document, "Ready", (await client.get("/ready")).json())
    valid(document, "Version", (await client.get("/version")).json())


async def test_chunks_are_as_described(served):
    client, document = served
    options = {"stream": True, "stream_options": {"include_usage": True}, "status_events": True}
    reply = await client.post("/v1/chat/completions", json=body(**options))
    chunks = chunks_of(reply)
    assert len(chunks) > 4
    for chunk in chunks:
        valid(document, "ChatCompletionChunk", chunk)


async def test_replies_satisfy_the_stock_clients_own_types(served):
    client, _ = served
    strictly(ChatCompletion, (await client.post("/v1/chat/completions", json=body())).json())
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in chunks_of(await client.post("/v1/chat/completions", json=body(**options))):
        strictly(ChatCompletionChunk, chunk)
    strictly(Response, (await client.post("/v1/responses", json=ASKED_TWICE)).json())
    streamed = await client.post("/v1/responses", json={**ASKED_TWICE, "stream": True})
    for event in streamed.text.strip().split("\n\n"):
        strictly(ResponseStreamEvent, json.loads(event.partition("data: ")[2]))
    strictly(Model, (await client.get("/v1/models/wellread")).json())


def strictly(kind, value):
    TypeAdapter(kind).validate_json(json.dumps(value), strict=True)


async def test_requests_may_leave_out_or_null_what_is_optional(served):
    _, document = served
    request = {"$ref": "#/components/schemas/ChatRequest", "components": document["components"]}
    optional = set(document["components"]["schemas"]["ChatRequest"]["properties"]) - {"model", "messages"}
    Draft202012Validator(request).validate({**body(), **dict.fromkeys(optional)})


class Page(HTMLParser):
    """Notes what a page loads and where it leads."""

    def __init__(self):
        super().__init__()
        self.tags, self.anchors, self.ids = set(), set(), set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        named = dict(attributes)
        self.ids.add(named.get("id"))
        if named.get("href", "").startswith("#"):
            self.anchors.add(named["href"][1:])


async def test_the_page_for_people_loads_nothing_and_its_links_lead_somewhere(served):
    client, document = served
    reply = await client.get("/docs")
    page = Page()
    page.feed(reply.text)

    assert not page.tags & {"script", "link", "img", "iframe"}
    assert page.anchors <= page.ids
    for path in document["paths"]:
        assert path in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
