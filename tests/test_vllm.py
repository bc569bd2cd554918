"""Wellread before a real vLLM, which serves a small model with R1's wire on the CPU: `make test-vllm`.

The model is too small for good answers; what is tested is the wire. The tests stand in order: the last one kills vLLM.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import httpx2
import openai
import pytest

import server
from agent.build import open_tools
from agent.errors import ModelUnavailable
from agent.pack import pack
from agent.pipeline import answer, answer_from
from agent.plan import plan
from agent.reason import Finished, Prompt
from agent.settings import Settings
from agent.types import Answer, Coverage, Message, Plan, Question, Reading, Sampling, Text, Thinking, Timings
from retrieval.types import Document, Passage, Query, Ranked
from tests.web import serving

pytestmark = [pytest.mark.anyio, pytest.mark.vllm]
ROOT = Path(__file__).parents[1]
PORT = 8_017
START_SECONDS = 300
# Some second of reading: a request that was given up leaves after the step it is in.
STEPS = ["--step-tokens", "256"]
ASKED = "How do I turn a JSON string into Python objects?"
QUESTIONS_AT_MOST = 10
STORY = "Write a long story about a pier and the people who built it."
RUNNING = re.compile(r"^vllm:num_requests_running\{[^}]*\} ([\d.]+)", re.MULTILINE)


@dataclass
class Engine:
    """A running vLLM."""

    process: subprocess.Popen

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{PORT}"

    async def running(self) -> float:
        """Return how many requests are in work."""
        async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
            return float(RUNNING.search((await client.get(f"{self.url}/metrics", timeout=10)).text)[1])

    async def idle_after(self, seconds: float) -> bool:
        """Tell whether nothing is in work within so many seconds."""
        with anyio.move_on_after(seconds):
            while await self.running():  # noqa: ASYNC110 - another process tells by a figure
                await anyio.sleep(0.1)
            return True
        return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def ready(process: subprocess.Popen) -> bool:
    assert process.poll() is None, "vLLM ended; what it said is above"
    with suppress(httpx2.HTTPError):
        return httpx2.get(f"http://127.0.0.1:{PORT}/health", trust_env=False, verify=False).status_code == 200
    return False


@pytest.fixture(scope="module")
def engine():
    command = [sys.executable, str(ROOT / "deploy" / "vllm" / "serve_cpu.py"), "--port", str(PORT), *STEPS]
    process = subprocess.Popen(command, start_new_session=True)
    started = Engine(process)
    try:
        end = time.monotonic() + START_SECONDS
        while not ready(process):
            assert time.monotonic() < end, "vLLM did not start in time"
            time.sleep(1)
        yield started
    finally:
        started.kill()


def settings(engine: Engine) -> Settings:
    return Settings(model_url=f"{engine.url}/v1", search=("sample",), embedder="hashing", effort="low")


@asynccontextmanager
async def opened(engine: Engine):
    async with open_tools(settings(engine)) as tools:
        yield tools


@asynccontextmanager
async def asking(engine: Engine):
    async with serving(server.create_app(settings(engine))) as url:
        http = httpx2.AsyncClient(trust_env=False, verify=False)
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0, http_client=http) as client:
            yield client


async def last_event(work):
    """Run what emits, and give the last it emits."""
    events = []

    async def note(event) -> None:
        events.append(event)

    await work(note)
    return events[-1]


def prompt(text: str, thinking: int = 24, answer: int = 16) -> Prompt:
    return Prompt((Message("user", text),), thinking, answer, Sampling(seed=1))


async def test_thoughts_come_before_the_answer_and_keep_to_their_budget(engine):
    async with opened(engine) as tools:
        assert (await tools.model.info()).context_tokens == 8_192
        events = [event async for event in tools.model.stream(prompt("Count from one to fifty in words."))]
    kinds = [type(event) for event in events]
    assert kinds == sorted(kinds, key=[Thinking, Text, Finished].index)
    assert set(kinds) == {Thinking, Text, Finished}
    usage = events[-1].usage
    # The model would think on; two tokens are the tag's.
    assert 16 <= usage.reasoning <= 26
    assert usage.reasoning < usage.completion <= 40
    assert usage.prompt > 5
    assert "<think>" not in "".join(event.text for event in events[:-1])


async def test_no_budget_of_thoughts_gets_the_answer_at_once(engine):
    async with opened(engine) as tools:
        events = [event async for event in tools.model.stream(prompt("Name three colors.", 0, 12))]
    assert "".join(event.text for event in events if isinstance(event, Text)).strip()
    assert sum(isinstance(event, Thinking) for event in events) <= 2


async def test_when_the_time_is_up_the_answer_comes_without_thought(engine):
    question = Question((Message("user", "Count to a thousand."),), search=False, max_answer_tokens=24, max_seconds=0.2)
    async with opened(engine) as tools:
        made = await last_event(partial(answer, question, tools))
    assert "ran out" in made.text
    assert len(made.text.partition("The time for")[0]) > 5


async def test_the_engine_counts_what_it_then_reads(engine):
    asked = prompt("Почему небо голубое? 1234567890", 4, 4)
    async with opened(engine) as tools:
        counted = await tools.model.count(asked.messages)
        events = [event async for event in tools.model.stream(asked)]
    assert counted == events[-1].usage.prompt


async def test_a_prompt_that_begins_like_the_last_one_is_read_from_the_cache(engine):
    sources = " ".join(f"The pier number {n} is {n * 3} m long." for n in range(120))
    async with opened(engine) as tools:
        usages = []
        for question in ("How long is pier 7?", "And pier 9?"):
            # Without a seed: vLLM on a CPU takes none for a prompt that is read in steps.
            asked = replace(prompt(f"{sources}\n\n{question}", 4, 4), sampling=Sampling())
            events = [event async for event in tools.model.stream(asked)]
            usages.append(events[-1].usage)
    assert usages[1].prompt > 1_000
    assert usages[1].cached > 0.9 * usages[1].prompt


async def test_the_engine_plans_in_the_form_that_was_asked_for(engine, monkeypatch):
    # A slow processor writes the plan of this small model in more than the time that people are made to wait.
    monkeypatch.setattr("agent.plan.SECONDS", 120.0)
    follow_up = (Message("user", ASKED), Message("assistant", "With json.loads."), Message("user", "And back again?"))
    async with opened(engine) as tools:
        made = await plan(Question(follow_up), tools.model)
    assert made.note is None
    assert made.usage.completion > 10
    assert made.usage.reasoning <= 2


async def test_a_follow_up_over_the_same_pages_is_read_from_the_cache(engine):
    """Beside the wire: the prompt of a follow-up begins as the one before it did."""
    first = Question(
        (Message("user", ASKED),), effort="low", max_answer_tokens=8, max_total_tokens=16, must_search=True
    )
    again = Message("user", "How do I turn a JSON string into Python objects, once more and shortly?")
    follow_up = replace(first, messages=(*first.messages, Message("assistant", "With json.loads [1]."), again))
    async with opened(engine) as tools:
        await last_event(partial(answer, first, tools))
        made = await last_event(partial(answer, follow_up, tools))
    # The prompts of the plan are in the usage too.
    assert made.usage.prompt > 2_000
    assert made.usage.cached > 0.5 * made.usage.prompt


async def test_a_client_sees_progress_then_thoughts_then_the_answer_and_what_it_cost(engine):
    async with asking(engine) as client:
        stream = await client.chat.completions.create(
            model="wellread",
            messages=[{"role": "user", "content": ASKED}],
            stream=True,
            stream_options={"include_usage": True},
            max_completion_tokens=70,
            max_tokens=30,
        )
        chunks = [chunk async for chunk in stream]
    kinds = []
    for delta in (chunk.choices[0].delta for chunk in chunks if chunk.choices):
        kinds += ["thought"] * bool(getattr(delta, "reasoning_content", None)) + ["answer"] * bool(delta.content)
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"thought", "answer"}
    usage = chunks[-1].usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens <= 42
    assert usage.completion_tokens <= 72
    assert usage.prompt_tokens > 1_000
    finish = next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason)
    assert finish.model_extra["coverage"]["read"] == 15


async def until(stream, done) -> None:
    async for chunk in stream:
        if await done(getattr(chunk.choices[0].delta, "reasoning_content", None) or ""):
            return


@pytest.mark.parametrize("stage", ["planning", "search", "fetch", "prefill"])
async def test_a_client_that_leaves_before_the_model_thinks_frees_the_engine(engine, stage):
    """Each leaves by its own sign: the engine is busy before anything was said, or a line of progress was."""

    async def reached(text: str) -> bool:
        match stage:
            case "search":
                return "Searching the web" in text
            case "fetch":
                return "reading up to" in text
            case _:
                return "the model gets the best" in text

    earlier = [{"role": "user", "content": f"{ASKED} ({stage})"}, {"role": "assistant", "content": "With json.loads."}]
    asked = [{"role": "user", "content": f"How do I turn a JSON string into Python objects? {stage} {time.time()}"}]
    async with asking(engine) as client:
        stream = await client.chat.completions.create(
            model="wellread", messages=[*(earlier if stage == "planning" else []), *asked], stream=True
        )
        if stage != "planning":
            await until(stream, reached)
        if stage in {"planning", "prefill"}:
            while not await engine.running():  # noqa: ASYNC110 - another process tells by a figure
                await anyio.sleep(0.05)
        await stream.close()
        assert await engine.idle_after(2)


@pytest.mark.parametrize("after", ["a thought", "the answer"])
async def test_a_client_that_leaves_frees_the_engine(engine, after):
    limits = (
        {"max_completion_tokens": 900} if after == "a thought" else {"max_completion_tokens": 610, "max_tokens": 600}
    )
    async with asking(engine) as client:
        stream = await client.chat.completions.create(
            model="wellread-chat", messages=[{"role": "user", "content": STORY}], stream=True, seed=1, **limits
        )
        async for chunk in stream:
            delta = chunk.choices[0].delta
            if delta.content or (after == "a thought" and getattr(delta, "reasoning_content", None)):
                break
        assert await engine.running() == 1
        await stream.close()
        assert await engine.idle_after(2)


async def test_sources_that_the_engine_finds_too_long_are_trimmed_and_it_is_asked_again(engine, caplog):
    """Digits are a token each, which the estimate by characters does not know."""
    text = "".join(f"{n * 7_919:09}" for n in range(1_250))
    document = Document("http://a.example/", "Numbers", text, "a.example", None, "en")
    rows = tuple(Ranked(Passage(document, at, at + 900), 1.0, 1.0) for at in range(0, len(text), 900))
    reading = Reading(Plan(ASKED, "en", (Query(ASKED),)), rows, pack(rows, 12_000), Coverage(), Timings())
    question = Question((Message("user", ASKED),), effort="low", max_answer_tokens=8, max_total_tokens=16)
    async with opened(engine) as tools:
        made = await last_event(partial(answer_from, reading, question, tools))
    assert isinstance(made, Answer)
    assert "too many" in caplog.text
    assert 4_000 < made.usage.prompt < 8_192


async def killed_in_mid_answer(client, engine: Engine) -> None:
    """Ask, and kill the engine at the first token if it has more to say; the small model's answer may be one word."""
    for _ in range(QUESTIONS_AT_MOST):
        stream = await client.chat.completions.create(
            model="wellread-chat", messages=[{"role": "user", "content": "Count to a thousand."}], stream=True
        )
        async for chunk in stream:
            delta = chunk.choices[0].delta
            # It does not always think first.
            told = getattr(delta, "reasoning_content", None) or delta.content
            if told and engine.process.poll() is None and await engine.running():
                engine.kill()
        if engine.process.poll() is not None:
            return
    pytest.fail(f"{QUESTIONS_AT_MOST} answers were over with their first token")


async def test_a_killed_engine_is_told_in_mid_answer_and_before_any_work(engine):
    async with asking(engine) as client:
        with pytest.raises(openai.APIError, match="model"):
            await killed_in_mid_answer(client, engine)
        start = time.monotonic()
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="wellread", messages=[{"role": "user", "content": ASKED}])
        assert caught.value.status_code == 503
        assert time.monotonic() - start < 2
    async with opened(engine) as tools, aclosing(tools.model.stream(prompt("Hi"))) as events:
        with pytest.raises(ModelUnavailable):
            await anext(events)
