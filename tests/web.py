"""A small web on loopback for tests: pages are set per path, and faults are part of it; and the server on loopback."""

import asyncio
import gzip
import re
import socket
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import uvicorn

from server import http_config

ARTICLE = """<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body><nav>Home News Video</nav>
<article><h1>{title}</h1>{body}</article><footer>All rights reserved.</footer></body></html>"""


def article(title: str, *paragraphs: str) -> bytes:
    return ARTICLE.format(title=title, body="".join(f"<p>{text}</p>" for text in paragraphs)).encode()


@dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)
    delay: float = 0.0
    hang_after: int | None = None  # send so many bytes, then nothing more
    declared: int | None = None


@dataclass
class Web:
    port: int = 0
    host: str = "127.0.0.1"
    replies: dict[str, Reply] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    open: int = 0
    most_open: int = 0
    connected: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def page(self, path: str, body: bytes, **options) -> str:
        self.replies[path] = Reply(body, **options)
        return self.base + path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(body_bytes(head)))
                path = head.split()[1].decode()
                self.hits[path] += 1
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                try:
                    await self.reply(self.replies.get(path) or Reply(b"gone", 404), reader, writer)
                finally:
                    self.open -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connected -= 1
            writer.close()

    async def reply(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.wait(reply.delay, reader)
        length = len(reply.body) if reply.declared is None else reply.declared
        head = f"HTTP/1.1 {reply.status} X\r\nContent-Length: {length}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        writer.write(head.encode() + b"\r\n" + reply.body[: reply.hang_after])
        await writer.drain()
        if reply.hang_after is not None:
            await self.wait(60, reader)

    async def wait(self, seconds: float, reader: asyncio.StreamReader) -> None:
        """Let time pass, unless the client leaves."""
        with suppress(TimeoutError):
            if seconds and not await asyncio.wait_for(reader.read(1), seconds):
                raise ConnectionResetError


def body_bytes(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def zipped(body: bytes) -> bytes:
    return gzip.compress(body)


@asynccontextmanager
async def running(web: Web | None = None):
    web = web or Web()
    server = await asyncio.start_server(web.serve, web.host, 0)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()


@asynccontextmanager
async def serving(app):
    """Serve an ASGI app as the product is served, and give its address."""
    # By its protocol asyncio knows a socket on which small writes must not wait for one another.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        process = uvicorn.Server(http_config(app))
        async with anyio.create_task_group() as group:
            group.start_soon(process._serve, [listening])
            with anyio.fail_after(5):
                while not process.started:  # noqa: ASYNC110 - uvicorn tells by a flag
                    await anyio.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            process.should_exit = True


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
