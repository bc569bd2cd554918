"""Asks a running server over HTTP, as a client of the watched chat completions stream.

Knows nothing of how answers are made, nor of how they are shown.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from agent.terminal.prints import Prints

CONNECT_SECONDS = 5.0
# The server says something every ten seconds; this long a silence is a dead one.
SILENCE_SECONDS = 60.0


class Refused(Exception):
    """The server said no, or broke off; the message is what it said."""


def ask(question: str, url: str, key: str | None, model: str, printer: Prints) -> int:
    """Ask one question and print all that comes; 1 when it fails."""
    try:
        for chunk in chunks(question, url, key, model):
            printer.take(chunk)
    except (Refused, httpx2.HTTPError, httpx2.InvalidURL) as error:
        printer.fail(str(error) or type(error).__name__)
        return 1
    finally:
        printer.close()
    printer.end()
    return 0


def chunks(question: str, url: str, key: str | None, model: str) -> Iterator[dict[str, Any]]:
    """Ask, and yield the chunks of an answer; one before them with `run_id`, where the server keeps records of runs.

    Raises Refused, HTTPError or InvalidURL.
    """
    body: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    body["messages"] = [{"role": "user", "content": question}]
    headers = {"X-Watch": "on"} | ({"Authorization": f"Bearer {key}"} if key else {})
    timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    address = url.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
    with httpx2.stream("POST", address, json=body, headers=headers, timeout=timeout) as response:
        if run_id := response.headers.get("x-run-id"):
            yield {"choices": [], "run_id": run_id}
        if response.status_code != 200:
            raise Refused(_reason(response))
        yield from _events(response)


def _events(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        if data and not line.startswith((":", "event:", "id:", "retry:")):
            yield _chunk(data)
    raise Refused("the server broke off")


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError:
        chunk = None
    if not isinstance(chunk, dict) or not chunk.keys() & {"choices", "error"}:
        raise Refused("what answered is no server of this kind")
    if "error" in chunk:
        error = chunk["error"]
        raise Refused(str(error.get("message", error) if isinstance(error, dict) else error))
    return chunk


def _reason(response: httpx2.Response) -> str:
    response.read()
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code}"
