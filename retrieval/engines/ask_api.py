"""Asks a search API over HTTP, and tells apart how it may refuse or fail. Knows no API by name.

No error holds what was sent or what came back: keys and questions stay out of logs and out of clients' sight.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, SecretStr, ValidationError

from retrieval.backoff import wait_seconds
from retrieval.errors import EngineError, EngineRefused
from retrieval.limits import BackoffLimits, CooldownLimits, ReplyLimits

Model = TypeVar("Model", bound=BaseModel)

CHALLENGE = re.compile(
    rb"captcha|unusual traffic|not a robot|are you (?:a )?(?:human|robot)|just a moment|cf-challenge", re.IGNORECASE
)
OVERLOADED = 503
SECONDS = re.compile(r"[0-9]{1,12}")
CAPTCHA = "asks for a CAPTCHA"
REFUSALS: Mapping[int, str] = {
    202: "answered 202: it takes us for a robot",
    401: "answered 401: it wants a key, or another one",
    402: "answered 402: its quota is used up",
    403: "answered 403: it turns us away",
    429: "answered 429: too many requests",
    432: "answered 432: the quota of the plan is used up",
    433: "answered 433: the limit of pay-as-you-go is reached",
    503: "answered 503: it is overloaded",
}


def key_refusals(setting: str) -> dict[int, str]:
    """Return the refusals of an API whose key comes from a setting."""
    wrong = f"it does not take the key: check {setting}"
    return {**REFUSALS, 401: f"answered 401: {wrong}", 403: f"answered 403: {wrong}"}


def bearer(key: SecretStr) -> dict[str, str]:
    """Return the header that most APIs want a key in."""
    return {"Authorization": f"Bearer {key.get_secret_value()}"}


async def ask_api(
    client: httpx2.AsyncClient,
    request: httpx2.Request,
    shape: type[Model],
    refusals: Mapping[int, str] = REFUSALS,
    limits: ReplyLimits | None = None,
) -> Model:
    """Send a request and read its JSON reply. Raises EngineError, EngineRefused when it may not be asked again soon."""
    limits = limits or ReplyLimits()
    try:
        reply = await client.send(request, stream=True)
        try:
            body = await _read(reply, limits)
        finally:
            await reply.aclose()
    except httpx2.HTTPError as error:
        raise EngineError(f"cannot be reached ({type(error).__name__})") from error
    if reply.status_code != 200:
        raise _failure(reply, body, refusals)
    return _parsed(body, shape)


async def _read(reply: httpx2.Response, limits: ReplyLimits) -> bytes:
    """Read a body up to its limit; of an error the beginning is enough."""
    body = bytearray()
    async for piece in reply.aiter_bytes():
        body += piece
        if reply.status_code != 200 and len(body) > limits.error_bytes:
            break
        if len(body) > limits.body_bytes:
            raise EngineError(f"sent more than {limits.body_bytes} bytes")
    return bytes(body)


def _failure(reply: httpx2.Response, body: bytes, refusals: Mapping[int, str]) -> EngineError:
    status = reply.status_code
    if CHALLENGE.search(body):
        return EngineRefused(f"{CAPTCHA} (status {status})", _told_seconds(reply.headers))
    if status == 400 and b"credits" in body.lower():
        return EngineRefused("answered 400: its credits are used up")
    told = _told_seconds(reply.headers)
    if status == OVERLOADED and not told:
        return EngineError(refusals[status])  # it may be well again in a moment
    if status in refusals:
        return EngineRefused(refusals[status], told)
    return EngineError(f"answered {status}")


def _told_seconds(headers: httpx2.Headers) -> float:
    """Return how long a reply asks us to wait: 0 when it does not say."""
    limits = BackoffLimits(max_wait_seconds=CooldownLimits().told_most_seconds, default_wait_seconds=0.0)
    told = wait_seconds(headers.get("Retry-After"), time.time(), limits)
    return told or _until_reset(headers.get("X-RateLimit-Remaining", ""), headers.get("X-RateLimit-Reset", ""))


def _until_reset(remaining: str, reset: str) -> float:
    """Read the pair of headers that list windows, as in "0, 1500" and "1, 86400": wait for those used up."""
    windows = zip(remaining.split(","), reset.split(","), strict=False)
    used_up = [wait.strip() for left, wait in windows if left.strip() == "0"]
    return max((float(wait) for wait in used_up if SECONDS.fullmatch(wait)), default=0.0)


def _parsed(body: bytes, shape: type[Model]) -> Model:
    try:
        # Unlike pydantic's own reader, this one takes the half characters that cut texts end in.
        return shape.model_validate(json.loads(body))
    except (ValueError, ValidationError, RecursionError):
        # Its message would quote the reply.
        if body.lstrip().startswith(b"<") and CHALLENGE.search(body):
            raise EngineRefused(CAPTCHA) from None
        raise EngineError("sent something that is not its JSON format") from None


def given(**parameters: Any) -> dict[str, Any]:  # noqa: ANN401  (what JSON may hold)
    """Leave out the parameters that have no value."""
    return {name: value for name, value in parameters.items() if value not in (None, "", (), [])}
