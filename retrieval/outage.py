"""Whether something that answers can do without fails, as last seen: noted in the log, and left alone for a while."""

import logging
import threading
from collections.abc import Callable

from retrieval.errors import RetrievalError

log = logging.getLogger(__name__)


class Outage:
    """An outage of `what`, which cannot be `done`: both are words of the log. Safe to use from many threads."""

    def __init__(self, what: str, done: str, retry_seconds: float, clock: Callable[[], float]) -> None:
        self._what, self._done, self._retry_seconds, self._clock = what, done, retry_seconds, clock
        self._retry_at: float | None = None
        self._lock = threading.Lock()

    def lasts(self) -> bool:
        """Tell whether it failed so lately that it is not tried again."""
        retry_at = self._retry_at
        return retry_at is not None and self._clock() < retry_at

    @property
    def trouble(self) -> str | None:
        """What cannot be done, as last seen."""
        return None if self._retry_at is None else f"cannot be {self._done}"

    def note(self, error: RetrievalError | None) -> None:
        """Take notice of a failure, or of a success."""
        with self._lock:
            if error and self._retry_at is None:
                log.warning("%s cannot be %s, and the work goes on without: %s", self._what, self._done, error)
            if not error and self._retry_at is not None:
                log.warning("%s can be %s again", self._what, self._done)
            self._retry_at = self._clock() + self._retry_seconds if error else None
