"""What the log tells: which request a line belongs to, and how lines are written."""

import logging
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
# One line a request is ours; libraries would add theirs, with the addresses asked.
NOISY = ("httpx2", "httpcore2", "uvicorn.error", "bm25s", "ddgs", "faiss.loader")


def log_to_stderr(level: str) -> None:
    """Write the log to the standard error, from a level on, each line with its request's id."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_request_id)
    logging.basicConfig(level=level, format=FORMAT, handlers=[handler])
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True
