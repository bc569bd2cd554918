"""A `ddgs.DDGS` that keeps who turned it away: the package drops such replies, and says that nothing was found.

It reaches into the package (`_get_engines`). Where a later version has no such method, nothing is noticed and nothing
else changes; a test holds it against the version that is installed.
"""

import re
from typing import Any

from ddgs.base import BaseSearchEngine
from ddgs.ddgs import DDGS  # not of the package itself: that one makes a DDGS of any subclass
from ddgs.http_client import HttpClient, Response

CHALLENGE = re.compile(r"captcha|unusual traffic|not a robot|anomaly-modal|just a moment|showcaptcha", re.IGNORECASE)
REFUSALS = frozenset({202, 401, 403, 418, 429, 503})


class WatchedDDGS(DDGS):
    """Searches like its parent. `refusals` grows by one "name, why" for each reply that is no list of results."""

    def __init__(self, timeout: int) -> None:
        super().__init__(timeout=timeout)
        self.refusals: list[str] = []

    def _get_engines(self, category: str, backend: str) -> list[BaseSearchEngine[Any]]:
        engines = super()._get_engines(category, backend)
        for engine in engines:
            engine.http_client = _WatchedClient(engine.http_client, engine.name, self.refusals)
        return engines


class _WatchedClient(HttpClient):
    """A client that reads what comes back before the package does."""

    def __init__(self, watched: HttpClient, name: str, refusals: list[str]) -> None:
        # Without the parent's own set-up: it would open a second client.
        self.client, self._watched, self._name, self._refusals = watched.client, watched, name, refusals

    def request(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401  (the package's own signature)
        reply = self._watched.request(*args, **kwargs)
        if reply.status_code in REFUSALS:
            self._refusals.append(f"{self._name} answered {reply.status_code}")
        elif reply.status_code == 200 and CHALLENGE.search(reply.text):
            self._refusals.append(f"{self._name} asks for a CAPTCHA")
        return reply
