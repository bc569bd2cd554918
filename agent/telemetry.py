"""What is told of the work: who listens to a run, which request a log line belongs to, and how lines are written."""

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol

from agent.errors import AgentError
from agent.types import Event, LogForm

request_id: ContextVar[str] = ContextVar("request_id", default="-")
# What tells a model's server which trace a call of it belongs to.
trace_headers: ContextVar[Mapping[str, str]] = ContextVar("trace_headers", default=MappingProxyType({}))

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
# One line a request is ours; libraries would add theirs, with the addresses asked.
NOISY = ("httpx2", "httpcore2", "uvicorn.error", "bm25s", "ddgs", "faiss.loader")


class JsonLines(logging.Formatter):
    """Writes each event as one line of JSON, for what collects logs; times are UTC, ISO 8601."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one event."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


class RunListener(Protocol):
    """Who takes note of a run, without a say in it."""

    def take(self, event: Event) -> None:
        """Take note of what the run tells, before its client is told."""
        ...

    def end(self, error: AgentError | None = None) -> None:
        """Take note of its end, more than once perhaps: the first counts."""
        ...


def log_to_stderr(level: str, form: LogForm = "auto") -> None:
    """Write the log to the standard error, from a level on, each line with its request's id."""
    handler = logging.StreamHandler()
    handler.addFilter(_no_noise)
    handler.addFilter(_add_request_id)
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


def _no_noise(record: logging.LogRecord) -> bool:
    """Leave out what libraries tell of their work; a level of theirs would not do, as some set it on import."""
    return record.levelno >= logging.WARNING or not record.name.startswith(NOISY)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True
