import gzip

import anyio
import pytest

from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from retrieval.limits import FetchLimits
from retrieval.types import Hit, Page, Skipped, SkipReason
from tests import web as local

pytestmark = pytest.mark.anyio
LIMITS = FetchLimits(page_seconds=0.5, wire_bytes=50_000, body_bytes=100_000)


@pytest.fixture
async def web():
    async with local.running() as running:
        yield running


@pytest.fixture
async def fetcher(web):
    async with Fetcher(Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),)), LIMITS) as fetcher:
        yield fetcher


async def skipped(fetcher: Fetcher, url: str) -> SkipReason:
    outcome = await fetcher.fetch(Hit(url, "T"))
    assert isinstance(outcome, Skipped), outcome
    return outcome.reason


async def test_a_page_comes_with_its_type_and_final_address(web, fetcher):
    url = web.page("/a", b"", status=302, headers=(("Location", "/b?x=1#part"),))
    web.page("/b?x=1", "тело".encode("cp1251"), headers=(("Content-Type", 'Text/HTML; charset="Windows-1251"'),))
    page = await fetcher.fetch(Hit(url, "T"))
    assert isinstance(page, Page)
    assert (page.url, page.content_type, page.charset) == (web.base + "/b?x=1", "text/html", "windows-1251")
    assert page.body.decode("cp1251") == "тело"


async def test_compressed_pages_are_unpacked(web, fetcher):
    headers = (("Content-Type", "text/html"), ("Content-Encoding", "gzip"))
    page = await fetcher.fetch(Hit(web.page("/z", gzip.compress(b"hello" * 100), headers=headers), "T"))
    assert isinstance(page, Page)
    assert page.body == b"hello" * 100


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "forbidden"), (403, "forbidden"), (404, "not_found"), (410, "not_found"), (429, "rate_limited"),
     (451, "forbidden"), (500, "server_error"), (503, "server_error"), (206, "not_found"), (204, "not_found")],
)  # fmt: skip
async def test_status(web, fetcher, status, reason):
    assert await skipped(fetcher, web.page("/s", b"x", status=status)) == reason


async def test_what_is_no_text_is_not_read(web, fetcher):
    url = web.page("/v", b"x" * 10, headers=(("Content-Type", "video/mp4"),))
    assert await skipped(fetcher, url) == "wrong_type"


async def test_sizes_are_bounded(web, fetcher):
    assert await skipped(fetcher, web.page("/declared", b"x", declared=10_000_000)) == "too_large"
    html = (("Content-Type", "text/html"),)
    assert await skipped(fetcher, web.page("/wire", b"x" * 60_000, headers=html)) == "too_large"
    bomb = gzip.compress(b"0" * 30_000_000)
    assert len(bomb) < 50_000
    assert await skipped(fetcher, web.page("/bomb", bomb, headers=(*html, ("Content-Encoding", "gzip")))) == "too_large"


async def test_only_offered_codings_are_taken(web, fetcher):
    for coding in ("br", "zstd", "gzip, gzip", "x-unknown"):
        url = web.page("/c", b"x", headers=(("Content-Type", "text/html"), ("Content-Encoding", coding)))
        assert await skipped(fetcher, url) == "bad_encoding"
    url = web.page("/c", b"not gzip", headers=(("Content-Type", "text/html"), ("Content-Encoding", "gzip")))
    assert await skipped(fetcher, url) == "bad_encoding"


async def test_a_page_has_one_deadline(web, fetcher):
    with anyio.fail_after(2):
        assert await skipped(fetcher, web.page("/slow", b"x", delay=30)) == "timeout"
        assert await skipped(fetcher, web.page("/drip", b"x" * 100, hang_after=10)) == "timeout"


async def test_redirects_are_bounded_and_checked(web, fetcher):
    web.page("/loop", b"", status=301, headers=(("Location", "/loop"),))
    assert await skipped(fetcher, web.base + "/loop") == "network_error"
    assert web.hits["/loop"] == LIMITS.redirects + 1
    targets = ["http://127.0.0.1:1/x", "http://169.254.169.254/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/",
               f"http://127.0.0.1:{web.port + 65_536}/", "ftp://example.org/", "http://2130706433/"]  # fmt: skip
    for target in targets:
        web.page("/r", b"", status=302, headers=(("Location", target),))
        assert await skipped(fetcher, web.base + "/r") == "blocked_address", target
    web.page("/two", b"", status=302, headers=(("Location", "/a"), ("Location", "/b")))
    assert await skipped(fetcher, web.base + "/two") == "network_error"


async def test_nothing_personal_is_sent(web, fetcher, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    html = (("Content-Type", "text/html"), ("Set-Cookie", "id=1; Path=/"))
    for _ in range(2):
        assert isinstance(await fetcher.fetch(Hit(web.page("/c", b"x", headers=html), "T")), Page)
    head = web.heads[-1].lower()
    assert b"cookie" not in head
    assert b"referer" not in head
    assert b"user-agent: wellread/" in head


async def test_a_host_gets_few_fetches_at_once(web, fetcher):
    urls = [web.page(f"/{n}", b"x", delay=0.02) for n in range(20)]
    async with anyio.create_task_group() as tasks:
        for url in urls:
            tasks.start_soon(fetcher.fetch, Hit(url, "T"))
    assert sum(web.hits.values()) == 20
    assert web.most_open <= LIMITS.per_host
    assert not fetcher._hosts


async def test_unreachable_hosts_are_network_errors(web, fetcher):
    closed = Fetcher(Guard((parse_allowed_net("127.0.0.1/32:9"),)), LIMITS)
    async with closed:
        assert await skipped(closed, "http://127.0.0.1:9/") == "network_error"


@pytest.fixture
async def pdf_fetcher(web):
    limits = FetchLimits(page_seconds=0.5, wire_bytes=5_000, body_bytes=6_000, pdf_bytes=20_000)
    async with Fetcher(Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),)), limits) as fetcher:
        yield fetcher


@pytest.mark.parametrize("kind", ["application/pdf", "application/x-pdf", "application/octet-stream", None])
async def test_a_pdf_may_be_larger_than_a_page(web, pdf_fetcher, kind):
    headers = (("Content-Type", kind),) if kind else ()
    page = await pdf_fetcher.fetch(Hit(web.page("/p", b"%PDF-1.7\n" + b"x" * 15_000, headers=headers), "T"))
    assert isinstance(page, Page)
    assert (page.content_type, len(page.body)) == (kind or "", 15_009)
    assert await skipped(pdf_fetcher, web.page("/p", b"%PDF-1.7\n" + b"x" * 25_000, headers=headers)) == "too_large"
    assert b"application/pdf" in web.heads[-1]


async def test_only_a_pdf_may_be_larger(web, pdf_fetcher):
    for kind in ("application/pdf", ""):
        url = web.page("/p", b"<html>" + b"x" * 15_000, headers=(("Content-Type", kind),))
        assert await skipped(pdf_fetcher, url) == "too_large"


@pytest.mark.parametrize("size", [10, 15_000, 300_000])
async def test_a_download_that_is_no_pdf_is_not_read(web, pdf_fetcher, size):
    headers = (("Content-Type", "application/octet-stream"),)
    url = web.page("/p", b"x" * size, headers=headers)
    assert await skipped(pdf_fetcher, url) == ("wrong_type" if size < 20_000 else "too_large")


async def test_files_are_never_fetched(web, fetcher, tmp_path):
    file = tmp_path / "secret.html"
    file.write_text("secret")
    for url in (file.as_uri(), f"file://localhost{file}", "file:///etc/passwd", "FILE:///etc/passwd"):
        assert await skipped(fetcher, url) == "blocked_address"
        web.page("/r", b"", status=302, headers=(("Location", url),))
        assert await skipped(fetcher, web.base + "/r") == "blocked_address"
