import gzip
import os
import sys
import time
from dataclasses import replace

import anyio
import pytest

from retrieval.computing import computed
from retrieval.fetch import Fetcher
from retrieval.guard import Guard, parse_allowed_net
from retrieval.limits import FetchLimits, RobotsLimits
from retrieval.types import Hit, Page, Skipped, SkipReason
from tests import web as local
from tests.processes import open_files

pytestmark = pytest.mark.anyio
TEXT = (("Content-Type", "text/plain"),)
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


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_a_connection_that_nobody_uses_is_closed_without_another_request(web):
    guard = Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),))
    async with Fetcher(guard, replace(LIMITS, keep_alive_seconds=0.1), robots=None) as fetcher:
        before = open_files([os.getpid()])
        assert isinstance(await fetcher.fetch(Hit(web.page("/a", b"text", headers=TEXT), "T")), Page)
        assert open_files([os.getpid()]) > before
        with anyio.fail_after(5):
            while open_files([os.getpid()]) > before:  # noqa: ASYNC110
                await anyio.sleep(0.05)


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


async def test_a_body_that_was_cut_off_is_told(web, fetcher):
    headers = (("Content-Type", "text/html"), ("Content-Encoding", "gzip"))
    url = web.page("/cut", gzip.compress(b"hello" * 100)[:-10], headers=headers)
    assert await skipped(fetcher, url) == "bad_encoding"


@pytest.mark.parametrize("location", ["http://0177.0.0.1/", "http://127.0.0.1:99999/", "/a\x01b", "http://[::1", "//"])
async def test_an_address_that_is_none_ends_the_page_alone(web, fetcher, location):
    url = web.page("/r", b"", status=302, headers=(("Location", location),))
    assert await skipped(fetcher, url) in {"blocked_address", "network_error", "not_found"}


async def test_a_redirect_to_nowhere_is_a_page_that_was_not_found(web, fetcher):
    assert await skipped(fetcher, web.page("/r", b"", status=302)) == "not_found"


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
    assert web.hits.total() == 20 + 1
    assert web.hits["/robots.txt"] == 1
    assert web.most_open <= LIMITS.per_host
    assert not fetcher._shared._places


async def test_a_slow_host_takes_no_more_than_its_share():
    limits = replace(LIMITS, at_once=LIMITS.per_host + 1, page_seconds=30)
    async with local.running() as slow, local.running(local.Web(host="127.0.0.2")) as quick:
        guard = Guard(tuple(parse_allowed_net(f"127.0.0.0/8:{web.port}") for web in (slow, quick)))
        async with Fetcher(guard, limits) as fetcher, anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(fetcher.fetch, Hit(slow.page(f"/{number}", b"x", delay=30), "T"))
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(5):
                for number in range(3):
                    assert isinstance(await fetcher.fetch(Hit(quick.page(f"/{number}", b"x"), "T")), Page)
            tasks.cancel_scope.cancel()


async def test_unreachable_hosts_are_network_errors(web, fetcher):
    closed = Fetcher(Guard((parse_allowed_net("127.0.0.1/32:9"),)), LIMITS)
    async with closed:
        assert await skipped(closed, "http://127.0.0.1:9/") == "network_error"


async def test_what_robots_txt_forbids_is_not_asked_for(web, fetcher):
    web.page("/robots.txt", b"User-agent: Wellread\nDisallow: /private\n", headers=TEXT)
    assert await skipped(fetcher, web.page("/private/a", b"x")) == "robots"
    web.page("/moved", b"", status=302, headers=(("Location", "/private/b"),))
    assert await skipped(fetcher, web.base + "/moved") == "robots"
    assert isinstance(await fetcher.fetch(Hit(web.page("/open", b"x"), "T")), Page)
    assert web.hits == {"/robots.txt": 1, "/moved": 1, "/open": 1}
    assert b"user-agent: wellread/" in web.heads[0].lower()


async def test_robots_txt_may_be_ignored(web):
    web.page("/robots.txt", b"User-agent: *\nDisallow: /\n", headers=TEXT)
    async with Fetcher(Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),)), LIMITS, robots=None) as fetcher:
        assert isinstance(await fetcher.fetch(Hit(web.page("/a", b"x"), "T")), Page)
    assert web.hits == {"/a": 1}


async def test_robots_txt_has_the_limits_of_a_page(web, fetcher):
    url = web.page("/a", b"x")
    rules = b"User-agent: *\nDisallow: /a\n"
    headers = (*TEXT, ("Content-Encoding", "gzip"))
    web.page("/robots.txt", gzip.compress(rules + b"#" * 2_000_000), headers=headers)
    assert await skipped(fetcher, url) == "robots"


async def test_robots_txt_is_followed_through_five_redirects(web, fetcher):
    web.page("/robots.txt", b"", status=301, headers=(("Location", "/1"),))
    for step in range(1, 5):
        web.page(f"/{step}", b"", status=302, headers=(("Location", f"/{step + 1}"),))
    web.page("/5", b"User-agent: *\nDisallow: /a\n", headers=TEXT)
    assert await skipped(fetcher, web.page("/a", b"x")) == "robots"
    assert web.hits["/a"] == 0


async def test_more_redirects_of_robots_txt_are_none(web, fetcher):
    web.page("/robots.txt", b"", status=301, headers=(("Location", "/robots.txt"),))
    assert isinstance(await fetcher.fetch(Hit(web.page("/a", b"x"), "T")), Page)
    assert web.hits["/robots.txt"] == LIMITS.redirects + 1


async def test_robots_txt_leads_to_no_forbidden_address(web, fetcher):
    web.page("/robots.txt", b"", status=301, headers=(("Location", "http://169.254.169.254/robots.txt"),))
    assert await skipped(fetcher, web.page("/a", b"x")) == "blocked_address"
    assert web.hits["/a"] == 0


async def test_a_page_waits_no_longer_for_robots_txt_than_it_must(web):
    web.page("/robots.txt", b"", delay=30)
    limits = replace(LIMITS, page_seconds=20)
    guard = Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),))
    async with Fetcher(guard, limits, RobotsLimits(seconds=0.05)) as fetcher:
        with anyio.fail_after(10):
            assert await skipped(fetcher, web.page("/a", b"x")) == "timeout"
    assert web.hits["/a"] == 0


@pytest.mark.parametrize(("status", "reason"), [(429, "rate_limited"), (503, "server_error")])
async def test_a_site_that_asks_to_wait_is_left_alone(web, fetcher, status, reason):
    url = web.page("/busy", b"", status=status, headers=(("Retry-After", "120"),))
    assert await skipped(fetcher, url) == reason
    outcome = await fetcher.fetch(Hit(web.page("/other", b"x"), "T"))
    assert isinstance(outcome, Skipped)
    assert outcome.reason == "rate_limited"
    assert "asked to wait until 20" in outcome.detail
    assert web.hits["/other"] == 0


async def test_a_redirect_to_a_site_that_asked_to_wait_is_not_followed(web, fetcher):
    web.page("/moved", b"", status=302, headers=(("Location", "/busy"),))
    web.page("/busy", b"", status=429)
    assert await skipped(fetcher, web.base + "/moved") == "rate_limited"
    assert await skipped(fetcher, web.base + "/moved") == "rate_limited"
    assert web.hits["/moved"] == 1


async def test_a_robots_txt_that_asks_to_wait_speaks_for_its_site(web, fetcher):
    web.page("/robots.txt", b"", status=429, headers=(("Retry-After", "120"),))
    assert await skipped(fetcher, web.page("/a", b"x")) == "rate_limited"
    assert web.hits == {"/robots.txt": 1}


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


async def test_a_pages_time_does_not_run_out_behind_what_others_compute(web):
    web.page("/robots.txt", b"User-agent: *\nAllow: /\n", headers=TEXT)
    guard = Guard((parse_allowed_net(f"127.0.0.1/32:{web.port}"),))
    async with Fetcher(guard, LIMITS) as fetcher, anyio.create_task_group() as others:
        others.start_soon(computed, time.sleep, 1.5)
        await anyio.sleep(0.05)
        assert isinstance(await fetcher.fetch(Hit(web.page("/a", b"text", headers=TEXT), "T")), Page)
