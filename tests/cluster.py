"""Two whole servers, started by the product's command, behind a real nginx, with a real Redis server between them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2

from tests import web as local

ROOT = Path(__file__).parent.parent
MISSING = [name for name in ("nginx", "redis-server") if not shutil.which(name)]
PAGES = 12
KEYS = 500
# What each of the keys may, over all servers.
A_MINUTE, AT_ONCE = 3, 2
START_SECONDS = STOP_SECONDS = 90
WORDS = [f"{one}{other}" for one in ("ba", "do", "ki", "lu", "me", "no", "ra", "si") for other in ("lt", "rn", "sk")]
NGINX = """
{user}
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format brief '$upstream_addr $upstream_status $status';
    access_log {folder}/access.log brief;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/wellread.conf;
}}
"""


@dataclass
class Site(local.Web):
    """A host of pages, no two of which are alike. Each takes `seconds`; with `told` it is refused for so many more."""

    seconds: float = 0.0
    told: int = 0

    async def reply(self, reply, reader, writer):
        if reply.status == 200:
            reply = replace(reply, delay=self.seconds)
            if self.told:
                reply = local.Reply(b"later", 429, (("Retry-After", str(self.told)),))
        await super().reply(reply, reader, writer)

    def fill(self):
        """Put up the pages; give their addresses."""
        return [self.page(f"/{number}", self._body(number)) for number in range(PAGES)]

    def _body(self, number):
        words = " ".join(random.Random(number).choices(WORDS, k=150))
        return local.article(f"Pier {number}", "The old pier is 525 m long.", words.capitalize() + ".")

    def forget(self):
        """Begin to count anew."""
        self.hits.clear()
        self.most_open, self.seconds, self.told = 0, 0.0, 0


@dataclass
class Engine(local.Web):
    """A SearXNG that finds the same pages always, or refuses."""

    found: list[str] = field(default_factory=list)
    refusing: bool = False
    asked: int = 0

    async def reply(self, reply, reader, writer):
        self.asked += 1
        if self.refusing:
            reply = local.Reply(b"{}", 429, (("Retry-After", "600"),))
        else:
            results = [{"url": url, "title": "The old pier", "content": "pier"} for url in self.found]
            body = json.dumps({"results": results, "unresponsive_engines": []}).encode()
            reply = local.Reply(body, headers=(("Content-Type", "application/json"),))
        await super().reply(reply, reader, writer)


class Process:
    """A process that can be stopped, killed and started again; what it writes goes to a file."""

    def __init__(self, name, folder, command, environment=None):
        self._log, self._command, self._environment = folder / f"{name}.log", command, environment
        self._process = None

    def start(self):
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    async def stop(self, how=signal.SIGTERM):
        """Stop it and wait until it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        await anyio.to_thread.run_sync(self._process.wait, STOP_SECONDS)

    @property
    def log(self):
        """What it wrote."""
        return self._log.read_text()


@dataclass
class Cluster:
    """All of it. `base` is nginx's address; each key of `keys` is given out once."""

    site: Site
    engine: Engine
    servers: list[Process]
    bases: list[str]
    base: str
    client: httpx2.AsyncClient
    folder: Path
    redis: Process | None = None
    redis_port: int = 0
    keys: list[str] = field(default_factory=list)

    async def ask(self, question="How long is the pier?", *, base=None, key=None, model="wellread-quick", **more):
        """Ask a question, of nginx unless another base is given; by a key of its own unless one is given."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], **more}
        headers = {"Authorization": f"Bearer {key or self.keys.pop()}"}
        return await self.client.post(f"{base or self.base}/v1/chat/completions", json=body, headers=headers)

    async def degraded(self, number):
        """Tell what one server says that it does without."""
        return (await self.client.get(f"{self.bases[number]}/ready")).json()["degraded"]

    @property
    def asked_of(self):
        """Which servers nginx asked, by its log."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return {address.rstrip(",") for line in lines for address in line.split()[:-1] if ":" in address}


async def up(client, *urls):
    """Wait until all addresses answer well."""
    with anyio.fail_after(START_SECONDS):
        for url in urls:
            while not await _answers(client, url):  # noqa: ASYNC110  (another process starts)
                await anyio.sleep(0.05)


async def _answers(client, url):
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


def redis_server(port, folder):
    """Prepare a Redis server that keeps nothing on the disk."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return Process("redis", folder, command)


def server(number, port, folder, keys, shared, around):
    """Prepare one Wellread server, as the product's command starts it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WELLREAD_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "WELLREAD_PORT": str(port),
        "WELLREAD_API_KEYS": ",".join(keys),
        "WELLREAD_KEY_REQUESTS_PER_MINUTE": str(A_MINUTE),
        "WELLREAD_KEY_CONCURRENT": str(AT_ONCE),
        "WELLREAD_SEARCH": "searxng",
        "WELLREAD_SEARXNG_URL": around["engine"].base,
        "WELLREAD_ALLOW_NETS": f"127.0.0.0/8:{around['site'].port}",
        "WELLREAD_EMBEDDED_MODEL": "echo",
        "WELLREAD_EMBEDDER": "hashing",
        "WELLREAD_CACHE": "off",
        "WELLREAD_READ_SECONDS": "60",
        "WELLREAD_MAX_QUEUE": "100",
        "WELLREAD_SHARED": shared,
    }
    command = [sys.executable, "server.py", "serve"]
    return Process(f"server-{number}", folder, command, environment)


def nginx(port, ports, folder):
    """Prepare nginx with the configuration of deploy/, its ports replaced."""
    text = (ROOT / "deploy" / "nginx" / "wellread.conf").read_text()
    for before, after in {8000: port, 8001: ports[0], 8002: ports[1]}.items():
        assert text.count(f"127.0.0.1:{before}") == 1
        text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
    (folder / "wellread.conf").write_text(text)
    # Started by root its workers would be another user, who may not enter the folders of tests.
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder))
    return Process("nginx", folder, ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"])


@asynccontextmanager
async def cluster(folder, *, shares=True):
    """Start all of it; without `shares` the servers know nothing of each other."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(local.running(Site(host="127.0.0.2")))
        engine = await stack.enter_async_context(local.running(Engine()))
        engine.found = site.fill()
        client = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=START_SECONDS))
        port, redis_port, *ports = [local.free_port() for _ in range(4)]
        keys = [f"key-{number}" for number in range(KEYS)]
        redis = redis_server(redis_port, folder) if shares else None
        shared = f"redis://127.0.0.1:{redis_port}/0" if shares else ""
        around = {"site": site, "engine": engine}
        servers = [server(number, each, folder, keys, shared, around) for number, each in enumerate(ports)]
        bases = [f"http://127.0.0.1:{each}" for each in ports]
        front = nginx(port, ports, folder)
        # A server is not stopped by what fails a test.
        for process in filter(None, (redis, *servers, front)):
            process.start()
            stack.push_async_callback(process.stop, signal.SIGKILL if process in servers else signal.SIGTERM)
        base = f"http://127.0.0.1:{port}"
        made = Cluster(site, engine, servers, bases, base, client, folder, redis, redis_port, keys)
        await up(client, *(f"{each}/ready" for each in (*bases, base)))
        yield made
