"""The hostile web kit, case by case as its index says: `make test-hostile`. It lies beside the checkout, or is skipped.

Each case is asked for by itself, and then all of them at once, with honest pages among them.
"""

import sys
import time
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import httpx2
import pytest

from agent.cite import CitationReader
from agent.links import LinkReader
from agent.types import Source
from retrieval.extract import Extractor
from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from retrieval.limits import ExtractLimits, FetchLimits
from retrieval.types import Document, Hit, Passage, Ranked, Skipped
from tests.benchmarks import servers
from tests.processes import Memory
from tests.test_links import links

if (servers.DATA / "hostile" / "registry.py").exists():
    sys.path.insert(0, str(servers.DATA))
    from hostile.registry import CASES
    from hostile.server import running
else:
    CASES = {}

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.hostile,
    pytest.mark.skipif(not CASES, reason=f"there is no hostile web kit in {servers.DATA}; BENCH_DATA names its folder"),
]
# What the kit calls an outcome of a fetch, as reasons of ours.
REASONS = {
    "refuse": {"blocked_address", "network_error", "robots", "not_found"},
    "timeout": {"timeout", "network_error"},
    "too_large": {"too_large", "bad_encoding"},
    "bad_response": {"network_error", "bad_encoding", "too_large", "timeout"},
    "http_error": {"not_found", "forbidden", "rate_limited", "server_error"},
    "wrong_type": {"wrong_type"},
}
BULK_PAGES = 60
# Beside 40 MB of the interpreter and what it imports.
MEMORY_BYTES = 660_000_000


@pytest.fixture(scope="module")
async def kit():
    async with running(port=servers.free_pair(), max_seconds=30.0) as server:
        yield server


@pytest.fixture(scope="module")
async def extractor():
    async with Extractor(ExtractLimits()) as extractor:
        yield extractor


@asynccontextmanager
async def fetching(port):
    """Open a fetcher that knows nothing of the cases before: one case makes the site rest for all the others."""
    async with Fetcher(Guard((parse_allowed_net(f"127.0.0.1/32:{port}"),)), FetchLimits()) as fetcher:
        yield fetcher


async def read(fetcher, extractor, url):
    page = await fetcher.fetch(Hit(url, "Title"))
    return page if isinstance(page, Skipped) else await extractor.extract(page)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_a_case_ends_as_its_index_says(kit, extractor, case):
    start = time.monotonic()
    async with fetching(kit.port) as fetcher:
        outcome = await read(fetcher, extractor, kit.base + case.path)
    assert time.monotonic() - start <= case.max_seconds
    assert kit.stats.canary_hits == []
    assert not kit.stats.sensitive_headers
    if isinstance(outcome, Skipped):
        # A limit that is told may refuse what gives no text anyway.
        assert case.doc != "text" if case.fetch == "ok" else outcome.reason in REASONS[case.fetch], outcome
        return
    text = f"{outcome.title}\n{outcome.text}"
    assert case.fetch == "ok"
    assert case.doc != "empty", text[:200]
    assert [wanted for wanted in case.must_contain if wanted not in text] == [] or case.doc != "text"
    assert [unwanted for unwanted in case.must_not_contain if unwanted in text] == []
    text.encode("utf-8")


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.category == "injection"], ids=lambda case: case.id
)
async def test_a_model_that_says_what_a_page_says_links_to_no_other(kit, extractor, case):
    async with fetching(kit.port) as fetcher:
        page = await read(fetcher, extractor, kit.base + case.path)
    assert isinstance(page, Document)
    source = Source(1, page, (Ranked(Passage(page, 0, len(page.text)), 1.0, 1.0),))
    reader = CitationReader((source,), links=LinkReader([page.url], "en"))
    thoughts = reader.links.again()
    for shown in (reader.feed(page.text) + reader.flush(), thoughts.feed(page.text) + thoughts.flush()):
        assert "evil.example" not in shown
        assert {url.partition("#")[0] for url in links(shown)} <= {page.url}


async def test_honest_pages_are_unharmed_by_hostile_ones_and_memory_is_bounded(other_kit):
    base, pid = other_kit
    with Memory(but=pid) as memory:
        async with Extractor(ExtractLimits()) as extractor, fetching(int(base.rpartition(":")[2])) as fetcher:
            honest = await all_at_once(fetcher, extractor, base)
    stats = await anyio.to_thread.run_sync(httpx2.get, f"{base}/_stats")
    assert [each for each in honest if isinstance(each, Skipped)] == []
    assert (stats.json()["canary_hits"], stats.json()["in_flight"]) == ([], 0)
    assert 0 < memory.added_bytes < MEMORY_BYTES


@pytest.fixture
def other_kit():
    """Run the server of the cases as a process of its own, whose memory is not counted; give its address and pid."""
    with servers.hostile("--max-seconds", "30") as (index, pid):
        yield index["base"], pid


async def all_at_once(fetcher, extractor, base):
    """Read every case that takes the process or its time, and honest pages; give what came of these."""
    honest: list[Document | Skipped] = []

    async def see(url, into):
        into.append(await read(fetcher, extractor, url))

    async with anyio.create_task_group() as tasks:
        for case in (case for case in CASES.values() if case.severity in ("kill", "stall")):
            tasks.start_soon(see, base + case.path, [])
        for number in range(BULK_PAGES):
            tasks.start_soon(see, f"{base}/bulk/{number}", honest)
    return honest
