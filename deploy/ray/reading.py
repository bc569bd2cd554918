"""Reads pages on other machines: the deployment that does it, and what stands for it where questions are answered.

Fetches and cleans with the very code of the server alone. Knows neither questions nor ranking.
"""

from ray import serve
from ray.serve.handle import DeploymentHandle

from agent.build import open_reading
from agent.settings import load_settings
from agent.telemetry import log_to_stderr
from deploy.ray.held import Held
from deploy.ray.lost import Lost, asked
from retrieval.types import Document, Hit, Page, Skipped, SkipReason


@serve.deployment
class Reader:
    """Fetches and cleans pages, as many at once as Serve lets in."""

    async def __init__(self) -> None:
        settings = load_settings()
        log_to_stderr(settings.log_level.upper(), settings.log_format)
        self._held = Held(open_reading(settings))
        self._reading = await self._held.open()

    async def __del__(self) -> None:
        await self._held.close()

    async def read(self, hit: Hit) -> Document | Skipped:
        """Fetch and clean a page."""
        page = await self._reading.fetcher.fetch(hit)
        return await self._reading.extractor.extract(page) if isinstance(page, Page) else page

    async def extract(self, page: Page) -> Document | Skipped:
        """Clean a page that came by another way."""
        return await self._reading.extractor.extract(page)


class RemoteReading:
    """A fetcher and an extractor that let the deployment do the work."""

    def __init__(self, readers: DeploymentHandle) -> None:
        self._readers = readers

    async def fetch(self, hit: Hit) -> Document | Skipped:
        """Fetch a page; it comes cleaned."""
        try:
            return await asked(lambda: self._readers.read.remote(hit))
        except Lost:
            return _lost(hit.url)

    async def extract(self, page: Page) -> Document | Skipped:
        """Clean a page that was not fetched by a reader."""
        try:
            return await asked(lambda: self._readers.extract.remote(page))
        except Lost:
            return _lost(page.hit.url)


def _lost(url: str) -> Skipped:
    return Skipped(url, SkipReason.NETWORK_ERROR, "every machine that began to read it was lost")
