"""A web of many hosts on loopback, and the search engine that finds it: for what must be seen from outside.

Each search finds a page on every host, of which no two are alike; each page takes as long as it is told to.
"""

import asyncio
import json
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlsplit

from tests import web as local

WORDS = [f"{one}{other}" for one in ("ba", "do", "ki", "lu", "me", "no", "ra", "si") for other in ("lt", "rn", "sk")]
SENTENCE = "The old pier is 525 m long."


@dataclass
class ManyHosts:
    """The web; `seconds` is how long a page takes. It counts the pages of each host that are asked for at once."""

    hosts: int
    seconds: float
    port: int = 0
    at_once: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    pages: int = 0

    @property
    def search_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.1.{number}" for number in range(1, self.hosts + 1)]

    async def serve(self, reader, writer) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(local.body_bytes(head))
                host = writer.get_extra_info("sockname")[0]
                kind, body = await self._reply(host, head.split()[1].decode())
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                writer.write(body)
                await writer.drain()
        writer.close()

    async def _reply(self, host: str, path: str) -> tuple[str, bytes]:
        if path == "/robots.txt":
            return "text/plain", b""
        if path.startswith("/search"):
            return "application/json", self._found(parse_qs(urlsplit(path).query))
        self.at_once[host] += 1
        self.most_at_once[host] = max(self.most_at_once[host], self.at_once[host])
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once[host] -= 1
        self.pages += 1
        words = random.Random(host + path).choices(WORDS, k=120)
        return "text/html", local.article(f"Pier {path[1:]} of {host}", SENTENCE, " ".join(words).capitalize() + ".")

    def _found(self, asked: dict[str, list[str]]) -> bytes:
        page = asked.get("pageno", ["1"])[0]
        name = quote(asked["q"][0], safe="")
        urls = [f"http://{address}:{self.port}/{name}" for address in self.addresses if page == "1"]
        results = [{"url": url, "title": "The old pier", "content": "pier"} for url in urls]
        return json.dumps({"results": results, "unresponsive_engines": []}).encode()


@asynccontextmanager
async def many_hosts(hosts: int, seconds: float):
    """Serve such a web."""
    web = ManyHosts(hosts, seconds)
    first = await asyncio.start_server(web.serve, "127.0.0.1", 0)
    web.port = first.sockets[0].getsockname()[1]
    others = await asyncio.start_server(web.serve, web.addresses, web.port)
    try:
        yield web
    finally:
        for server in (first, others):
            server.close()
