"""Any model behind an OpenAI-compatible API: vLLM first, then llama.cpp, DeepSeek and the like.

Reads reasoning from `reasoning` and `reasoning_content` and from inline think tags. Closing the stream closes the
connection, at which vLLM aborts the request and frees the GPU.
"""

import json
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.errors import ContextOverflow, ModelFailed, ModelTimeout, ModelUnavailable
from agent.models.profiles import (
    DEEPSEEK_API,
    DEEPSEEK_HOST,
    R1,
    THINKING_BUDGET,
    FirstReply,
    Profile,
    told_apart,
)
from agent.reason import Finished, ModelEvent, ModelInfo, Prompt
from agent.thinking import ThinkingSplitter
from agent.types import Message, Text, Thinking, Usage

log = logging.getLogger(__name__)

INFO_SECONDS = 10.0
# A greeting is answered without a thought by some that think; of a puzzle these are enough to see one begin.
PROBE = "Which is larger, 9.9 or 9.11?"
PROBE_TOKENS = 8
# As vLLM and OpenAI say it, and as llama.cpp does.
OVERFLOW = re.compile(r"maximum context length is (\d+)|\"n_ctx\":\s*(\d+)")


class _Delta(BaseModel):
    model_config = ConfigDict(extra="ignore")
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Details(BaseModel):
    model_config = ConfigDict(extra="ignore")
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class _Usage(BaseModel):
    model_config = ConfigDict(extra="ignore")
    prompt_tokens: int = 0
    completion_tokens: int = 0
    completion_tokens_details: _Details | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(BaseModel):
    model_config = ConfigDict(extra="ignore")
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Answered(BaseModel):
    model_config = ConfigDict(extra="ignore")
    message: _Delta = _Delta()


class _Probe(BaseModel):
    model_config = ConfigDict(extra="ignore")
    choices: list[_Answered]


class _Counted(BaseModel):
    model_config = ConfigDict(extra="ignore")
    count: int


class _Listed(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    max_model_len: int | None = None


class _Models(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: list[_Listed]


class OpenAICompatibleModel:
    """A remote model. `client` has base_url and authorization set, and is closed by its owner.

    `profile` is a name of `agent.models.profiles`, or "auto": told by the model's id and by its first reply to a probe.
    `think` False: a model that does not think of itself is not asked to.
    """

    def __init__(self, client: httpx2.AsyncClient, name: str | None, profile: str, *, think: bool = True) -> None:
        self._client = client
        self._name = name
        self._set = profile
        self._think = think
        self._profile = R1
        self._probed = False
        self._info: ModelInfo | None = None
        self._info_until = 0.0
        self._takes_budget = True
        self._counts = True

    @property
    def profile_name(self) -> str:
        """How the model is talked to, as far as is known: the name of a profile."""
        return self._profile.name

    async def info(self) -> ModelInfo:
        """Ask the server for its models; the answer is kept for some seconds. Raises ModelUnavailable."""
        if self._info is None or time.monotonic() >= self._info_until:
            self._info = await self._ask_info()
            if not self._probed:
                self._profile, self._probed = await self._told_apart(self._info.id), True
            self._info_until = time.monotonic() + INFO_SECONDS
        return self._info

    async def count(self, messages: tuple[Message, ...]) -> int | None:
        """Ask for the tokens of a prompt; None from a server that does not count. Raises what `stream` raises.

        The route is vLLM's, and not under /v1.
        """
        info = await self.info()
        if not self._counts:
            return None
        root = str(self._client.base_url).rstrip("/").removesuffix("/v1")
        sent = _written(self._profile.messages(Prompt(messages, 1, 1)))
        body = {"model": info.id, "messages": sent, "add_generation_prompt": True}
        try:
            reply = await self._client.post(f"{root}/tokenize", json=body, timeout=INFO_SECONDS)
        except httpx2.HTTPError as error:
            raise self._broken(error) from error
        try:
            return _Counted.model_validate_json(reply.content).count
        except ValidationError:
            self._counts = False
            log.info("The model's server counts no tokens (status %d): they are estimated.", reply.status_code)
            return None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Run the model. Raises ModelUnavailable, ModelFailed, ModelTimeout, or ContextOverflow."""
        info = await self.info()
        body, inside = self._body(info, prompt), self._profile.inside and prompt.schema is None
        try:
            async with aclosing(self._streamed(body, inside)) as events:
                async for event in events:
                    yield event
        except _BudgetRefused:
            self._give_up_budget()
            del body[THINKING_BUDGET]
        else:
            return
        async with aclosing(self._streamed(body, inside)) as events:
            async for event in events:
                yield event

    async def _streamed(self, body: dict[str, Any], inside: bool) -> AsyncGenerator[ModelEvent, None]:
        splitter = ThinkingSplitter(inside=inside)
        finish, usage, thoughts = None, Usage(), 0
        try:
            async with self._client.stream("POST", "chat/completions", json=body) as reply:
                if reply.status_code != 200:
                    raise _refusal(reply.status_code, (await reply.aread()).decode("utf-8", "replace"))
                async for chunk in _chunks(reply):
                    usage = _usage(chunk.usage) if chunk.usage else usage
                    for choice in chunk.choices:
                        finish = choice.finish_reason or finish
                        if _thought(choice.delta) and inside:
                            inside, splitter = False, ThinkingSplitter()
                            self._note_parser()
                        for event in _events(choice.delta, splitter):
                            thoughts += isinstance(event, Thinking)
                            yield event
        except httpx2.HTTPError as error:
            raise self._broken(error) from error
        for event in splitter.flush():
            yield event
        if finish is None:
            raise ModelFailed("The model's stream ended before its answer did.")
        yield Finished(_with_thoughts(usage, thoughts), "length" if finish == "length" else "stop")

    def _note_parser(self) -> None:
        """Believe a server that tells thoughts apart, whatever it answered a probe."""
        self._profile = replace(self._profile, inside=False)
        log.info("The model's server tells thoughts apart after all.")

    def _give_up_budget(self) -> None:
        self._takes_budget = False
        log.warning(
            "The model's server takes no %s, so thoughts may use up the tokens of the answer. "
            "vLLM takes one from 0.32 on when it is started with --reasoning-parser.",
            THINKING_BUDGET,
        )

    def _broken(self, error: httpx2.HTTPError) -> ModelTimeout | ModelUnavailable | ModelFailed:
        """Translate a broken connection. What listens there next may be another server: ask it anew."""
        self._info_until, self._takes_budget, self._counts, self._probed = 0.0, True, True, False
        if isinstance(error, httpx2.TimeoutException):
            return ModelTimeout("The model was silent for too long and was given up.")
        if isinstance(error, httpx2.ConnectError):
            return ModelUnavailable("The model cannot be reached.")
        return ModelFailed("The connection to the model broke off in mid-answer.")

    async def _ask_info(self) -> ModelInfo:
        try:
            reply = await self._client.get("models", timeout=INFO_SECONDS)
        except httpx2.HTTPError as error:
            raise ModelUnavailable(f"The model cannot be reached ({type(error).__name__}).") from error
        if reply.status_code != 200:
            raise ModelUnavailable(f"The model's server answers {reply.status_code} when asked for its models.")
        try:
            listed = _Models.model_validate_json(reply.content).data
        except ValidationError as error:
            raise ModelUnavailable("The model's server does not list its models as OpenAI's API does.") from error
        return self._chosen(listed)

    async def _told_apart(self, model: str) -> Profile:
        """Choose the profile; where it takes a look at how the model begins a reply, take one."""
        name = "deepseek-api" if self._is_deepseek else self._set
        reply = await self._first_reply(model) if name in {"auto", "r1"} else None
        profile = told_apart(name, model, reply, think=self._think)
        log.info("The model %s is talked to as %s%s.", model, profile.name, " without a parser" * profile.inside)
        return profile

    @property
    def _is_deepseek(self) -> bool:
        return self._set == "deepseek-api" or (self._set == "auto" and self._client.base_url.host == DEEPSEEK_HOST)

    @property
    def _default_context(self) -> int:
        return (DEEPSEEK_API if self._is_deepseek else R1).context_tokens

    async def _first_reply(self, model: str) -> FirstReply | None:
        """Ask for a few tokens; None when none came, which tells nothing."""
        asked = {"model": model, "messages": [{"role": "user", "content": PROBE}], "max_tokens": PROBE_TOKENS}
        try:
            reply = await self._client.post("chat/completions", json=asked, timeout=INFO_SECONDS)
            message = _Probe.model_validate_json(reply.content).choices[0].message
        except (httpx2.HTTPError, ValidationError, IndexError) as error:
            log.warning("The model's server did not answer a probe: %s.", type(error).__name__)
            return None
        begun = FirstReply(bool(_thought(message)), message.content or "")
        return begun if begun.reasoning or begun.text else None

    def _chosen(self, listed: list[_Listed]) -> ModelInfo:
        for row in listed:
            if self._name in (None, row.id):
                return ModelInfo(row.id, row.max_model_len or self._default_context)
        names = ", ".join(row.id for row in listed) or "none"
        raise ModelUnavailable(f"The model's server has no model {self._name!r}; it has: {names}.")

    def _body(self, info: ModelInfo, prompt: Prompt) -> dict[str, Any]:
        asked = {name: value for name, value in asdict(prompt.sampling).items() if value is not None}
        fields = self._profile.fields(prompt)
        if not self._takes_budget:
            fields.pop(THINKING_BUDGET, None)
        return {
            "model": info.id,
            "messages": _written(self._profile.messages(prompt)),
            "max_tokens": prompt.thinking_tokens + prompt.answer_tokens,
            **fields,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._profile.sampling,
            **asked,
        }


def _written(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


class _BudgetRefused(ModelFailed):
    """The server refuses the budget of thoughts."""


def _refusal(status: int, text: str) -> ContextOverflow | ModelUnavailable | ModelFailed:
    """Translate a refusal; vLLM sends some as a status and some as the first event of a stream."""
    overflow = OVERFLOW.search(text)
    if status in (400, 422) and THINKING_BUDGET in text:
        return _BudgetRefused(f"The model's server takes no {THINKING_BUDGET}.")
    if status == 400 and overflow:
        return ContextOverflow(
            f"The conversation is too long for the model, which holds {overflow[1] or overflow[2]} tokens: shorten it."
        )
    if status in (429, 503):
        return ModelUnavailable("The model's server is busy or not ready.")
    return ModelFailed(f"The model's server refused the request with status {status}.")


async def _chunks(reply: httpx2.Response) -> AsyncIterator[_Chunk]:
    async for line in reply.aiter_lines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        try:
            chunk = _Chunk.model_validate(json.loads(data))
        except ValueError as error:
            raise ModelFailed("The model's server sent something that is not its API's format.") from error
        if chunk.error is not None:
            raise _error(chunk.error)
        yield chunk


def _error(error: Any) -> ContextOverflow | ModelUnavailable | ModelFailed:  # noqa: ANN401  (whatever a server calls one)
    status = error.get("code") if isinstance(error, dict) else None
    if isinstance(status, int) and 400 <= status < 500:
        return _refusal(status, json.dumps(error))
    return ModelFailed("The model broke off in mid-answer.")


def _thought(delta: _Delta) -> str | None:
    return delta.reasoning_content or delta.reasoning


def _events(delta: _Delta, splitter: ThinkingSplitter) -> list[Thinking | Text]:
    thought = _thought(delta)
    events: list[Thinking | Text] = [Thinking(thought)] if thought else []
    return events + (splitter.feed(delta.content) if delta.content else [])


def _usage(usage: _Usage) -> Usage:
    reasoning = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(usage.prompt_tokens, usage.completion_tokens, reasoning or 0, cached or 0)


def _with_thoughts(usage: Usage, pieces: int) -> Usage:
    """Count thoughts by their pieces, of about a token each, where the server did not count them or said none."""
    return usage if usage.reasoning else replace(usage, reasoning=min(pieces, usage.completion))
