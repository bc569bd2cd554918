import asyncio
import json
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx2
import pytest

from agent.errors import BadRequest, ModelFailed, ModelTimeout, ModelUnavailable
from agent.models.openai_compatible import OpenAICompatibleModel
from agent.reason import Finished, Prompt
from agent.types import Message, Sampling, Text, Thinking, Usage

pytestmark = pytest.mark.anyio
SYSTEM, ASKED = Message("system", "Be brief."), Message("user", "How tall is it?")
DONE = "[DONE]"


def listing(*rows) -> dict:
    return {"object": "list", "data": [{"object": "model", "owned_by": "vllm", **row} for row in rows]}


# Word for word what vLLM says.
NO_BUDGET = (
    "thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser "
    "and/or --reasoning-config to use thinking_token_budget."
)
QWEN = {"id": "Qwen/QwQ-32B", "max_model_len": 40_960, "root": "Qwen/QwQ-32B"}
R1 = {"id": "deepseek-ai/DeepSeek-R1-0528", "max_model_len": 65_536}


@dataclass
class Upstream:
    """A model's server on loopback: answers with set events, and hears when its client hangs up."""

    events: list = field(default_factory=list)
    status: int = 200
    reply: object = None  # sent instead of events
    takes_budget: bool = True
    refuses_in_stream: bool = False
    models: object = field(default_factory=lambda: listing(QWEN))
    models_status: int = 200
    tokens: object = field(default_factory=lambda: {"count": 12, "max_model_len": 40_960, "tokens": [1] * 12})
    tokens_status: int = 200
    tokenized: list[dict] = field(default_factory=list)
    hangs: bool = False
    breaks: bool = False
    port: int = 0
    bodies: list[dict] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    first: object = field(default_factory=lambda: {"reasoning": "Hm"})  # the message that answers a probe
    probes: list[dict] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            length = next((int(row[15:]) for row in head.lower().split("\r\n") if row.startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            if head.startswith("GET /v1/models "):
                self.whole(writer, self.models_status, self.models)
            elif head.startswith("POST /tokenize "):
                self.tokenized.append(json.loads(body))
                self.whole(writer, self.tokens_status, self.tokens)
            else:
                assert head.startswith("POST /v1/chat/completions ")
                asked = json.loads(body)
                (self.bodies if asked.get("stream") else self.probes).append(asked)
                if not asked.get("stream"):
                    self.whole(writer, *((200, {"choices": [{"message": self.first}]}) if self.first else (500, {})))
                elif "thinking_token_budget" in self.bodies[-1] and not self.takes_budget:
                    self.refuse(writer, {"error": {"message": NO_BUDGET, "type": "BadRequestError", "code": 400}})
                else:
                    await self.chat(reader, writer)
            await writer.drain()
        except ConnectionError:
            self.left.set()
        finally:
            writer.close()

    async def chat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.reply is not None:
            self.whole(writer, self.status, self.reply)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in self.events:
            line = f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        await writer.drain()
        if self.hangs:
            await reader.read()
            self.left.set()
        elif not self.breaks:
            writer.write(b"0\r\n\r\n")

    def refuse(self, writer: asyncio.StreamWriter, error: dict) -> None:
        """Refuse by the status, or as vLLM does it: within a stream that began well."""
        if self.refuses_in_stream:
            self.whole(writer, 200, f"data: {json.dumps(error)}\n\ndata: [DONE]\n\n".encode())
        else:
            self.whole(writer, 400, error)

    def whole(self, writer: asyncio.StreamWriter, status: int, reply: object) -> None:
        raw = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + raw)


@asynccontextmanager
async def serving(name: str | None = None, profile: str = "auto", silence_s: float = 2.0, **script):
    upstream = Upstream(**script)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{upstream.port}/v1"
    try:
        async with httpx2.AsyncClient(base_url=base, trust_env=False, verify=False, timeout=silence_s) as client:
            yield OpenAICompatibleModel(client, name, profile), upstream
    finally:
        server.close()


def chunk(finish: str | None = None, **delta) -> dict:
    """Make one chunk as vLLM sends it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage(prompt: int, completion: int, **details) -> dict:
    counts = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": {**counts, **details}}


ROLE = chunk(role="assistant", content="")
DONE_CHUNK = chunk("stop", content="")
PROMPT = Prompt((SYSTEM, ASKED), 100, 50)


async def said(events: list, prompt: Prompt = PROMPT, **script) -> list:
    async with serving(events=events, **script) as (model, _), aclosing(model.stream(prompt)) as stream:
        return [event async for event in stream]


async def sent(prompt: Prompt = PROMPT, **script) -> dict:
    async with serving(events=[ROLE, chunk("stop", content="x"), DONE], **script) as (model, upstream):
        async for _ in model.stream(prompt):
            pass
        return upstream.bodies[0]


def joined(events: list, kind: type) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


async def test_a_stream_of_vllm():
    events = await said(
        [
            ROLE,
            chunk(reasoning="It is "),
            chunk(reasoning="a tower."),
            chunk(reasoning=" So", content="\n\n330"),
            chunk(content=" m."),
            chunk("stop", content=""),
            usage(
                11, 22, completion_tokens_details={"reasoning_tokens": 5}, prompt_tokens_details={"cached_tokens": 8}
            ),
            DONE,
        ]
    )
    assert [type(event) for event in events] == [Thinking, Thinking, Thinking, Text, Text, Finished]
    assert joined(events, Thinking) == "It is a tower. So"
    assert joined(events, Text).strip() == "330 m."
    assert events[-1] == Finished(Usage(11, 22, 5, 8), "stop")


@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning_content": "Hm.", "content": None}, {"content": "330 m.", "reasoning_content": None}],
        [{"reasoning_content": "Hm.", "reasoning": "Hm."}, {"content": "330 m."}],
        [{"reasoning": "Hm.", "reasoning_content": None}, {"content": "330 m."}],
        [{"content": "<think>\nHm.</think>\n\n330 m."}],
        [{"content": "<thi"}, {"content": "nk>Hm."}, {"content": "</thin"}, {"content": "k>"}, {"content": "330 m."}],
    ],
)
async def test_ways_to_send_thoughts(deltas):
    events = await said([ROLE, *(chunk(**delta) for delta in deltas), chunk("stop"), DONE])
    assert (joined(events, Thinking), joined(events, Text)) == ("Hm.", "330 m.")


async def test_a_stream_without_thoughts_usage_or_done():
    events = await said([chunk(content="330"), chunk("length", content=" m")])
    assert events == [Text("330"), Text(" m"), Finished(Usage(), "length")]


@pytest.mark.parametrize("details", [{}, {"completion_tokens_details": None, "prompt_tokens_details": None}])
async def test_usage_without_details(details):
    events = await said([chunk("stop", content="x"), usage(3, 4, **details), DONE])
    assert events[-1].usage == Usage(3, 4)


async def test_usage_with_every_chunk_counts_once():
    events = await said([chunk(content="a") | {"usage": usage(3, n)["usage"]} for n in (1, 2)] + [chunk("stop")])
    assert events[-1].usage == Usage(3, 2)


# Failures


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "EngineCore died", "type": "InternalServerError", "param": None, "code": 500}},
        {"error": "out of memory"},
        "{",
        "[]",
        {"choices": 5},
    ],
)
async def test_an_error_in_mid_stream(event):
    with pytest.raises(ModelFailed):
        await said([ROLE, chunk(content="330"), event, DONE])


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("events", [[], [ROLE, chunk(content="330")], [chunk(content="330"), DONE]])
async def test_a_stream_that_just_ends(events, breaks):
    with pytest.raises(ModelFailed):
        await said(events, breaks=breaks)


async def test_what_came_before_a_failure_was_passed_on():
    async with serving(events=[chunk(content="330"), {"error": "x"}]) as (model, _):
        stream = model.stream(PROMPT)
        assert await anext(stream) == Text("330")
        with pytest.raises(ModelFailed):
            await anext(stream)


async def test_a_silent_model_is_given_up():
    with anyio.fail_after(2), pytest.raises(ModelTimeout):
        await said([ROLE, chunk(content="330")], hangs=True, silence_s=0.2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ModelFailed), (500, ModelFailed), (400, ModelFailed), (401, ModelFailed), (302, ModelFailed),
     (503, ModelUnavailable), (429, ModelUnavailable)],
)  # fmt: skip
async def test_refusals(status, kind):
    with pytest.raises(kind) as caught:
        await said([], status=status, reply={"error": {"message": "secret detail", "code": status}})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "This model's maximum context length is 4096 tokens, but the prompt holds 4900.",
    ],
)
async def test_a_prompt_that_is_too_long(message):
    with pytest.raises(BadRequest, match="4096") as caught:
        await said([], status=400, reply={"error": {"message": message, "type": "BadRequestError", "code": 400}})
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


async def test_a_refusal_within_the_stream_is_a_refusal():
    message = "This model's maximum context length is 4096 tokens."
    with pytest.raises(BadRequest, match="4096"):
        await said([{"error": {"message": message, "type": "BadRequestError", "code": 400}}, DONE])
    with pytest.raises(ModelUnavailable):
        await said([{"error": {"message": "busy", "code": 429}}, DONE])


async def test_a_server_that_is_not_there():
    async with httpx2.AsyncClient(base_url="http://127.0.0.1:9/v1", trust_env=False, verify=False) as client:
        model = OpenAICompatibleModel(client, None, "auto")
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await model.info()
        with pytest.raises(ModelUnavailable):
            await anext(model.stream(PROMPT))


# The model's name


async def test_the_first_listed_model_is_taken():
    async with serving(models=listing(QWEN, R1)) as (model, _):
        info = await model.info()
        assert (info.id, info.context_tokens, info.small, info.patience) == ("Qwen/QwQ-32B", 40_960, False, None)


async def test_a_model_is_found_by_its_name():
    async with serving(name=R1["id"], models=listing(QWEN, R1)) as (model, _):
        assert (await model.info()).context_tokens == 65_536
    async with serving(models=listing({"id": "deepseek-reasoner"})) as (model, _):
        assert (await model.info()).context_tokens == 32_768


@pytest.mark.parametrize(("rows", "listed"), [([QWEN, R1], f"{QWEN['id']}, {R1['id']}"), ([], "none")])
async def test_a_model_that_is_not_listed(rows, listed):
    async with serving(name="gpt-x", models=listing(*rows)) as (model, _):
        with pytest.raises(ModelUnavailable, match=f"'gpt-x'.*{listed}"):
            await model.info()


@pytest.mark.parametrize(
    ("models", "status"), [(b"<html>", 200), ({"models": []}, 200), (listing(QWEN), 401), (listing(QWEN), 503)]
)
async def test_a_server_that_lists_no_models(models, status):
    async with serving(models=models, models_status=status) as (model, _):
        with pytest.raises(ModelUnavailable):
            await model.info()


async def test_the_list_is_asked_for_once_in_a_while():
    async with serving(events=[chunk("stop", content="x")]) as (model, upstream):
        await model.info()
        async for _ in model.stream(PROMPT):
            pass
        await model.info()
        assert len([head for head in upstream.heads if head.startswith("GET")]) == 1


# What is sent


async def test_a_model_is_sent_the_messages_its_limits_and_no_more():
    assert await sent() == {
        "model": "Qwen/QwQ-32B",
        "messages": [{"role": "user", "content": "Be brief.\n\nHow tall is it?"}],
        "max_tokens": 150,
        "thinking_token_budget": 100,
        "temperature": 0.6,
        "top_p": 0.95,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_only_the_sampling_that_the_client_set_is_sent():
    sampling = Sampling(temperature=0.0, top_k=20, repetition_penalty=1.1, seed=7)
    plain, body = await sent(Prompt((ASKED,), 0, 50)), await sent(Prompt((ASKED,), 0, 50, sampling))
    assert body == plain | {"temperature": 0.0, "top_k": 20, "repetition_penalty": 1.1, "seed": 7}


@pytest.mark.parametrize("script", [{"models": listing(R1)}, {"profile": "r1"}])
async def test_r1_gets_its_own_sampling_and_no_system_turn(script):
    earlier = Message("user", "Hi"), Message("assistant", "Hello")
    body = await sent(Prompt((SYSTEM, *earlier, ASKED), 100, 50), **script)
    assert body["messages"] == [
        {"role": "user", "content": "Be brief.\n\nHi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "How tall is it?"},
    ]
    assert (body["temperature"], body["top_p"]) == (0.6, 0.95)


async def test_what_the_client_set_comes_before_the_advice_for_r1():
    body = await sent(Prompt((ASKED,), 100, 50, Sampling(temperature=0.0, top_p=1.0)), profile="r1")
    assert (body["temperature"], body["top_p"]) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B-Instruct", "r1000-chat", "super1"])
async def test_models_that_do_not_think_of_themselves_are_asked_to(name):
    body = await sent(models=listing({"id": name}), first={"content": "Hello! How can I"})
    assert "temperature" not in body
    assert "thinking_token_budget" not in body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "between <think> and </think>" in body["messages"][1]["content"]
    unthinking = await sent(Prompt((ASKED,), 0, 50), models=listing({"id": name}), first={"content": "Hello"})
    assert unthinking["messages"] == [{"role": "user", "content": "How tall is it?"}]


async def test_a_model_is_probed_once_until_its_connection_breaks():
    async with serving(events=[chunk("stop", content="330"), DONE]) as (model, upstream):
        for _ in range(3):
            model._info_until = 0.0
            await model.info()
        assert len(upstream.probes) == 1
        assert upstream.probes[0]["max_tokens"] == 8
        upstream.breaks, upstream.events = True, []
        with pytest.raises(ModelFailed):
            async for _ in model.stream(PROMPT):
                pass
        await model.info()
        assert len(upstream.probes) == 2


@pytest.mark.parametrize(("name", "thinks"), [(R1["id"], True), ("some-model", False)])
async def test_a_model_that_answers_no_probe_is_told_by_its_name(name, thinks):
    body = await sent(models=listing({"id": name}), first=None)
    assert ("thinking_token_budget" in body) is thinks


async def test_a_probe_that_is_answered_with_nothing_tells_nothing():
    events = await said([ROLE, chunk(content="330 m."), DONE_CHUNK], models=listing(R1), first={"content": ""})
    assert joined(events, Text) == "330 m."


async def test_a_server_that_tells_thoughts_apart_is_believed_over_its_answer_to_a_probe():
    thoughtful = [ROLE, chunk(reasoning="It is a tower."), chunk(content="330 m."), DONE_CHUNK]
    async with serving(events=thoughtful, models=listing(R1), first={"content": "Hello!"}) as (model, upstream):
        events = [event async for event in model.stream(PROMPT)]
        assert (joined(events, Thinking), joined(events, Text)) == ("It is a tower.", "330 m.")
        upstream.events = [ROLE, chunk(content="330 m."), DONE_CHUNK]
        events = [event async for event in model.stream(PROMPT)]
        assert joined(events, Text) == "330 m."


async def test_thoughts_of_r1_without_a_parser_are_told_from_its_answer():
    script = {"models": listing(R1), "first": {"content": "Okay, the user says"}, "takes_budget": False}
    events = await said(
        [ROLE, chunk(content="It is a tower. </thi"), chunk(content="nk>\n\n330"), DONE_CHUNK], **script
    )
    assert (joined(events, Thinking), joined(events, Text)) == ("It is a tower. ", "330")
    schema = Prompt((ASKED,), 0, 50, schema={"type": "object"})
    events = await said([ROLE, chunk(content='{"a": 1}'), DONE_CHUNK], schema, **script)
    assert joined(events, Text) == '{"a": 1}'


async def test_deepseeks_api_has_fields_of_its_own():
    script = {"models": listing({"id": "deepseek-chat"}), "profile": "deepseek-api"}
    body = await sent(Prompt((SYSTEM, ASKED), 4_000, 50), **script)
    assert (body["thinking"], body["reasoning_effort"]) == ({"type": "enabled"}, "high")
    assert body["messages"][0]["role"] == "system"
    assert "thinking_token_budget" not in body
    assert (await sent(Prompt((ASKED,), 64, 50), **script))["reasoning_effort"] == "low"
    body = await sent(Prompt((ASKED,), 0, 50, schema={"type": "object"}), **script)
    assert (body["thinking"], body["response_format"]) == ({"type": "disabled"}, {"type": "json_object"})
    async with serving(**script) as (model, upstream):
        assert (await model.info()).context_tokens == 128_000
        assert upstream.probes == []


async def test_a_schema_is_sent_as_openai_writes_it():
    body = await sent(Prompt((ASKED,), 0, 50, schema={"type": "object"}))
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    plain = await sent(Prompt((ASKED,), 9, 50, schema={"type": "object"}), profile="plain")
    assert "<think>" not in plain["messages"][-1]["content"]


async def test_the_plain_profile_is_plain_whatever_the_name():
    body = await sent(models=listing(R1), profile="plain")
    assert body["messages"][0]["role"] == "system"
    assert "temperature" not in body


# The budget of thoughts


@pytest.mark.parametrize("in_stream", [False, True])
async def test_a_server_that_takes_no_budget_of_thoughts_is_sent_none_from_then_on(caplog, in_stream):
    events = [chunk("stop", content="330"), DONE]
    async with serving(events=events, takes_budget=False, refuses_in_stream=in_stream) as (model, upstream):
        for _ in range(2):
            assert joined([event async for event in model.stream(PROMPT)], Text) == "330"
        assert ["thinking_token_budget" in body for body in upstream.bodies] == [True, False, False]
        assert upstream.bodies[1]["max_tokens"] == 150
    assert caplog.text.count("--reasoning-parser") == 1


async def test_a_server_that_comes_back_is_sent_a_budget_again():
    async with serving(events=[chunk("stop", content="330"), DONE], takes_budget=False) as (model, upstream):
        async for _ in model.stream(PROMPT):
            pass
        upstream.takes_budget, upstream.breaks, upstream.events = True, True, []
        with pytest.raises(ModelFailed):
            async for _ in model.stream(PROMPT):
                pass
        upstream.breaks, upstream.events = False, [chunk("stop", content="330")]
        async for _ in model.stream(PROMPT):
            pass
        assert ["thinking_token_budget" in body for body in upstream.bodies] == [True, False, False, True]
        # It was also asked anew what it is.
        assert len([head for head in upstream.heads if head.startswith("GET")]) == 2


async def test_thoughts_that_the_server_does_not_count_are_counted_by_their_pieces():
    thoughts = [chunk(reasoning="Hm,"), chunk(reasoning=" a tower.")]
    none = {"completion_tokens_details": {"reasoning_tokens": 0}}
    events = await said([ROLE, *thoughts, chunk("stop", content="330"), usage(11, 22, **none), DONE])
    assert events[-1].usage == Usage(11, 22, reasoning=2)
    events = await said([ROLE, *thoughts, chunk("stop", content="330"), usage(11, 1), DONE])
    assert events[-1].usage == Usage(11, 1, reasoning=1)


# Leaving


@pytest.mark.parametrize("events", [[ROLE, chunk(reasoning="Hm.")], [ROLE, chunk(content="330")]])
async def test_closing_the_stream_hangs_up(events):
    async with serving(events=events, hangs=True) as (model, upstream):
        async with aclosing(model.stream(PROMPT)) as stream:
            assert (await anext(stream)).text
            start = time.monotonic()
        with anyio.fail_after(1):
            await upstream.left.wait()
        assert time.monotonic() - start < 1


async def test_cancelling_hangs_up():
    async with serving(events=[ROLE], hangs=True) as (model, upstream):
        with anyio.move_on_after(0.1):
            async with aclosing(model.stream(PROMPT)) as stream:
                await anext(stream)
        with anyio.fail_after(1):
            await upstream.left.wait()


async def test_the_server_counts_the_tokens_of_what_it_will_be_sent():
    async with serving(models=listing(R1)) as (model, upstream):
        assert await model.count((SYSTEM, ASKED)) == 12
    (asked,) = upstream.tokenized
    assert asked == {
        "model": R1["id"],
        "messages": [{"role": "user", "content": "Be brief.\n\nHow tall is it?"}],
        "add_generation_prompt": True,
    }


@pytest.mark.parametrize(
    ("tokens", "status"),
    [({"error": "no such route"}, 404), ({"tokens": []}, 200), (b"<html>", 200), ({"count": "many"}, 200)],
)
async def test_a_server_that_does_not_count_is_asked_once(tokens, status):
    async with serving(tokens=tokens, tokens_status=status) as (model, upstream):
        assert [await model.count((ASKED,)) for _ in range(3)] == [None] * 3
    assert len(upstream.tokenized) == 1
