"""Prints an answer for programs: one JSON object, when all is done."""

import json
from typing import Any, TextIO

from agent.terminal.reply import Reply
from agent.terminal.telling import Telling


class JsonPrinter:
    """Prints one object: question, answer, reasoning, citations, search_results, coverage and usage.

    `unsupported`, `run_id` and `error` are there where the server told them. After an error the others hold what came
    before it. Nothing is printed for an answer that the user stopped.
    """

    def __init__(self, question: str, out: TextIO, telling: Telling) -> None:
        self._question, self._out, self._telling = question, out, telling
        self._reply = Reply()

    def take(self, chunk: dict[str, Any]) -> None:
        """Note what one chunk says."""
        self._reply.take(chunk)
        self._telling.take(chunk)

    def end(self) -> None:
        """Print the object."""
        self._print(None)

    def fail(self, message: str) -> None:
        """Print the object with what went wrong."""
        self._print(message)

    def close(self) -> None:
        """End what is told meanwhile."""
        self._telling.stop()

    def _print(self, error: str | None) -> None:
        self.close()
        self._out.write(_shown(_body(self._question, self._reply, error)) + "\n")
        self._out.flush()


def _body(question: str, reply: Reply, error: str | None) -> dict[str, Any]:
    always = {
        "question": question,
        "answer": reply.answer,
        "reasoning": reply.reasoning,
        "citations": reply.marks,
        "search_results": reply.sources,
        "coverage": reply.coverage,
        "usage": reply.usage,
    }
    told = {"unsupported": reply.unsupported, "run_id": reply.run_id, "error": error}
    return always | {name: value for name, value in told.items() if value is not None}


def _shown(body: dict[str, Any]) -> str:
    """Write an object whose text could be shown on a terminal: what could steer one is escaped."""
    text = json.dumps(body, ensure_ascii=False, indent=2)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)
