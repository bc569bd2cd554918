"""What every test lives under: asyncio, no connection that leaves this machine, no blocking call on the loop.

And what many need: a web on loopback, and tools that read it.
"""

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from agent.settings import Settings
from agent.tools import Tools
from retrieval import language
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.extract import Extractor
from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from retrieval.limits import ExtractLimits, FetchLimits
from tests import web as local
from tests.watched import Watched

# Nothing that a test reads goes into the user's own cache, and nothing comes out of it.
os.environ["WELLREAD_CACHE"] = "off"

# A busy machine fails no test. What else Hypothesis sets stays: with CI set it draws the same examples each time.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

LIMITS = FetchLimits(page_seconds=0.6, hedge_seconds=0.3)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def language_statistics() -> None:
    """Load what tells languages before any loop runs: whichever test is the first to need it would block its loop."""
    language.prepare()


def leaves_loopback(family: int, address: Any) -> bool:
    """Tell whether connecting to an address would leave this machine."""
    if family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    host = address[0]
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host != "localhost"


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(sock: socket.socket, address: Any) -> None:
        if leaves_loopback(sock.family, address):
            raise AssertionError(f"a test tried to leave this machine: {address[0]}")

    def guarded(sock: socket.socket, address: Any) -> None:
        check(sock, address)
        connect(sock, address)

    def guarded_ex(sock: socket.socket, address: Any) -> int:
        check(sock, address)
        return connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


# For the session, not for each test: setting it up costs more than most tests.
@pytest.fixture(scope="session", autouse=True)
def nothing_blocks() -> Iterator[None]:
    # Only calls that our own code makes: what a test itself reads on the loop does no harm.
    with blockbuster_ctx(["agent", "retrieval", "server"]):
        yield


@pytest.fixture
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("WELLREAD_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
async def extractor():
    async with Extractor(ExtractLimits(workers=1)) as extractor:
        yield extractor


@pytest.fixture
async def web():
    async with local.running() as running:
        yield running


@pytest.fixture
def fetcher(web):
    # Made outside the loop: it reads the machine's certificates.
    return Fetcher(Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),)), LIMITS)


@pytest.fixture
def equipped(fetcher, extractor):
    @asynccontextmanager
    async def opened(*engines, model=None, embedder=None, **settings):
        async with fetcher:
            embedder = embedder or HashingEmbedder()
            yield Tools(
                Settings(**settings), model or Watched(), engines, fetcher, extractor, embedder, fetch_limits=LIMITS
            )

    return opened
