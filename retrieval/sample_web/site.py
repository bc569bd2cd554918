"""Serves the sample web over HTTP/1.1 on a loopback port of its own, from memory. GET and HEAD, nothing else."""

import asyncio
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from retrieval.sample_web.markup import SamplePage, frame
from retrieval.sample_web.render import Rendering, render

IDLE_SECONDS = 60.0
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
# READMEs name pictures and scripts elsewhere; a browser must not fetch them from here.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
SECTIONS = {"library": "Standard library", "reference": "Language", "packages": "Packages"}


class SampleWeb:
    """The sample web, rendered into `folder` if need be, and served while the context is open.

    Raises RetrievalError on entry when the pages cannot be rendered. `only` limits the pages to these paths.
    """

    def __init__(self, folder: Path, only: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._only = only
        self._bodies: dict[str, bytes] = {}
        self._clients: set[asyncio.StreamWriter] = set()
        self.rendering = Rendering((), 0.0, cached=False)
        self.port = 0

    @property
    def pages(self) -> tuple[SamplePage, ...]:
        """The pages, in a fixed order; the home page that lists them is not among them."""
        return self.rendering.pages

    @property
    def base_url(self) -> str:
        """The address of the site, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.rendering = await render(self._folder, self._only)
        self._bodies = {page.path: page.html.encode(errors="replace") for page in self.pages}
        self._bodies["/"] = _home(self.pages).encode()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for client in self._clients:
            client.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until either side has enough."""
        self._clients.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client left, fell silent, or sent no HTTP
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether another may follow."""
        async with asyncio.timeout(IDLE_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, body, keep = self._respond(head)
            sent = b"" if head.startswith("HEAD ") else body
            writer.write(_headers(status, len(body), keep=keep) + sent)
            await writer.drain()
        return keep

    def _respond(self, head: str) -> tuple[int, bytes, bool]:
        """Return status, body and whether the connection stays open. A request with a body is not read further."""
        line, _, fields = head.partition("\r\n")
        method, _, rest = line.partition(" ")
        target, _, version = rest.partition(" ")
        if version not in {"HTTP/1.0", "HTTP/1.1"}:
            return 400, b"", False
        if method not in {"GET", "HEAD"}:
            return 405, b"", False
        body = self._bodies.get(unquote(urlsplit(target).path))
        keep = version == "HTTP/1.1" and not _ends(fields.lower())
        return (200, body, keep) if body is not None else (404, frame("Not found", "Not found", []).encode(), keep)


def _ends(fields: str) -> bool:
    return "connection: close" in fields or "content-length: " in fields or "transfer-encoding: " in fields


def _headers(status: int, length: int, *, keep: bool) -> bytes:
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n"
        f"Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\n"
        f"{'Allow: GET, HEAD' if status == 405 else 'Cache-Control: max-age=3600'}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    ).encode()


def _home(pages: tuple[SamplePage, ...]) -> str:
    """List every page by section."""
    blocks: list[str] = []
    for section, title in SECTIONS.items():
        links = [
            f'<li><a href="{escape(page.path)}">{escape(page.title)}</a></li>'
            for page in pages
            if page.path.startswith(f"/{section}/")
        ]
        blocks += [f'<h2 id="{section}">{title}</h2>', "<ul>", *links, "</ul>"]
    return frame("A sample web of Python documentation", "A sample web of Python documentation", blocks)
