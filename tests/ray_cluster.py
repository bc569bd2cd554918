"""Starts a cluster of `tests.ray_nodes` in a process of its own, over a web of many hosts, and tells it what to do."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2

from tests.many_hosts import ManyHosts
from tests.web import free_port

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-ray" / "bin" / "python"
START_SECONDS = 120.0
ANSWER_SECONDS = 120.0
KEY = "sk-marker-41c2"


class Nodes:
    """The cluster, in a process of its own; told what to do by lines."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"

    async def told(self, command: str) -> None:
        """Tell it something, and wait until it is done."""
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n".encode())
        await self.said(f"nodes: done {command}")

    async def said(self, wanted: str) -> None:
        """Wait for a line. Raises AssertionError with the last lines when the cluster ends before."""
        assert self.process.stdout
        lines = []
        while line := await self.process.stdout.readline():
            lines.append(line.decode(errors="replace").rstrip())
            if lines[-1] == wanted:
                return
        raise AssertionError("\n".join(lines[-40:]))


def environment(web: ManyHosts, **more: str) -> dict[str, str]:
    """Return the environment of the nodes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WELLREAD_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "WELLREAD_HOST": "127.0.0.1",
        "WELLREAD_SEARCH": "searxng",
        "WELLREAD_SEARXNG_URL": web.search_url,
        "WELLREAD_ALLOW_NETS": f"127.0.0.0/8:{web.port}",
        "WELLREAD_EMBEDDED_MODEL": "echo",
        "WELLREAD_EMBEDDER": "hashing",
        "WELLREAD_CACHE": "off",
        "WELLREAD_API_KEYS": KEY,
        "WELLREAD_MAX_CONCURRENT": "10",
        # On a busy machine; what is measured here is what gets lost, not how long it takes.
        "WELLREAD_READ_SECONDS": "60",
        **more,
    }


@asynccontextmanager
async def cluster(web: ManyHosts, *, nodes: int, at_once: int = 16, **more: str) -> AsyncIterator[Nodes]:
    """Run such a cluster; `at_once` is how many pages one replica reads at once."""
    port = free_port()
    command = [str(PYTHON), "-m", "tests.ray_nodes"]
    command += ["--port", str(port), "--nodes", str(nodes), "--at-once", str(at_once)]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment(web, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
    )
    started = Nodes(process, port)
    try:
        with anyio.fail_after(START_SECONDS):
            await started.said("nodes: ready")
        yield started
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            await asyncio.wait_for(process.communicate(), START_SECONDS)
        except TimeoutError:
            process.kill()


def client(nodes: Nodes) -> httpx2.AsyncClient:
    """Return a client that has the key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx2.AsyncClient(base_url=nodes.url, timeout=ANSWER_SECONDS, headers=headers, trust_env=False)


async def asked(http: httpx2.AsyncClient, question: str) -> str:
    """Ask, and tell how it ended: "answered", or what was wrong with the stream."""
    body = {"model": "wellread-quick", "stream": True, "messages": [{"role": "user", "content": question}]}
    async with http.stream("POST", "/v1/chat/completions", json=body) as reply:
        text = "".join([piece async for piece in reply.aiter_text()])
    if reply.status_code != 200:
        return f"{reply.status_code}: {text[:200]}"
    events = text.split("\n\n")
    if events[-1] or events[-2] != "data: [DONE]":
        return f"ends with {text[-80:]!r}"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2] if event.startswith("data: ")]
    if wrong := [chunk["error"] for chunk in chunks if "error" in chunk]:
        return str(wrong[0])
    read = [chunk["coverage"]["read"] for chunk in chunks if chunk.get("coverage")]
    return "answered" if read and read[0] else "read nothing"
