"""Asks a running server over HTTP and prints its answer as it comes: progress, reasoning, answer, sources, coverage.

A client of the chat completions stream; knows nothing of how answers are made.
"""

import json
from collections.abc import Iterator
from typing import Any, TextIO

import httpx2

from agent.wire.coverage_record import coverage_line

CONNECT_SECONDS = 5.0
# The server says something every ten seconds; this long a silence is a dead one.
SILENCE_SECONDS = 60.0
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Refused(Exception):
    """The server said no, or broke off; the message is what it said."""


def ask(question: str, url: str, key: str | None, model: str, out: TextIO) -> int:
    """Ask one question and print all that comes; 1 when it fails."""
    printer = Printer(out)
    try:
        for chunk in chunks(question, url, key, model):
            printer.take(chunk)
    except (Refused, httpx2.HTTPError) as error:
        printer.line(f"\nError: {error or type(error).__name__}")
        return 1
    printer.end()
    return 0


class Printer:
    """Prints chunks for people; thinking is dim on a terminal. Control characters of foreign pages are left out."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colored = out.isatty()
        self._answering = False
        self._last: dict[str, Any] = {}

    def take(self, chunk: dict[str, Any]) -> None:
        """Print what one chunk says."""
        for choice in chunk["choices"]:
            self._thought(choice["delta"].get("reasoning") or "")
            self._text(choice["delta"].get("content") or "")
            if choice["finish_reason"]:
                self._last = chunk

    def end(self) -> None:
        """Print the numbered sources and the coverage."""
        self.line("")
        for number, source in enumerate(self._last.get("search_results", ()), 1):
            self.line(f"[{number}] {source['title']} - {source['url']}")
        if "coverage" in self._last:
            self.line(f"Pages: {coverage_line(self._last['coverage'])}.")

    def line(self, text: str) -> None:
        """Print one line."""
        self._put(text + "\n")

    def _thought(self, text: str) -> None:
        if text and self._colored:
            self._out.write(DIM)
        self._put(text)
        if text and self._colored:
            self._out.write(PLAIN)

    def _text(self, text: str) -> None:
        if text and not self._answering:
            self._answering = True
            self._put("\n")
        self._put(text)

    def _put(self, text: str) -> None:
        self._out.write("".join(letter for letter in text if letter.isprintable() or letter in "\n\t\xa0"))
        self._out.flush()


def chunks(question: str, url: str, key: str | None, model: str) -> Iterator[dict[str, Any]]:
    """Ask, and yield the chunks of an answer. Raises Refused or HTTPError."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": question}]}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    address = url.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
    with httpx2.stream("POST", address, json=body, headers=headers, timeout=timeout) as response:
        if response.status_code != 200:
            raise Refused(_reason(response))
        yield from _events(response)


def _events(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            return
        if data:
            chunk: dict[str, Any] = json.loads(data)
            if "error" in chunk:
                raise Refused(chunk["error"]["message"])
            yield chunk
    raise Refused("the server broke off")


def _reason(response: httpx2.Response) -> str:
    response.read()
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code}"
