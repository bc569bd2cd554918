"""Fetches pages: guarded, bounded in bytes, redirects and time; a failure is a `Skipped` value, never an exception.

Before each request, redirects included, the site's robots.txt is asked, and a site that asked us to wait is left alone.
No cookies, no proxies from the environment, nothing that a page names is followed but its own redirects.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import urljoin

import anyio
import anyio.to_thread
import httpcore2
import httpx2

from retrieval import content_coding, freshness, pdf, signatures, urls
from retrieval.backoff import Backoff, clock_time
from retrieval.guard import BlockedAddress, Guard, GuardedBackend
from retrieval.limits import BackoffLimits, FetchLimits, RobotsLimits
from retrieval.robots import ROBOT, Robots, RobotsReply
from retrieval.shared import InProcess, Shared
from retrieval.types import Hit, Page, Skipped, SkipReason

USER_AGENT = f"{ROBOT}/0.1 (self-hosted reader; one fetch per question)"
HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,text/plain;q=0.8,*/*;q=0.1",
    "Accept-Encoding": content_coding.OFFERED,
}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_MODIFIED = 304
# What servers call a download that they know nothing about; read if it begins like a PDF.
BINARY_TYPES = frozenset({"application/octet-stream", "binary/octet-stream"})
READABLE_TYPES = frozenset({"", "text/html", "application/xhtml+xml", "text/plain", "text/markdown"})
READABLE_TYPES |= pdf.TYPES | BINARY_TYPES
REASONS = {
    401: SkipReason.FORBIDDEN,
    403: SkipReason.FORBIDDEN,
    404: SkipReason.NOT_FOUND,
    410: SkipReason.NOT_FOUND,
    429: SkipReason.RATE_LIMITED,
    451: SkipReason.FORBIDDEN,
}


class _Refused(Exception):
    """Ends one fetch with a reason; becomes a Skipped at the end of `Fetcher.fetch`."""

    def __init__(self, reason: SkipReason, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.status = reason, detail, status


class Fetcher:
    """Fetches single pages over one guarded connection pool. Use as an async context manager.

    `robots` None fetches without asking robots.txt; `shared` None shares its places and waits with no other replica.
    """

    def __init__(
        self,
        guard: Guard,
        limits: FetchLimits,
        robots: RobotsLimits | None = RobotsLimits(),  # noqa: B008  (frozen)
        shared: Shared | None = None,
    ) -> None:
        self._guard, self._limits, self._robots_limits = guard, limits, robots
        self._robots = Robots(self._robots_txt, robots) if robots else None
        self._shared = shared or InProcess()
        self._backoff = Backoff(BackoffLimits(), self._shared)
        self._all = anyio.Semaphore(limits.at_once)

    async def __aenter__(self) -> Self:
        # Reading the certificates blocks.
        context = await anyio.to_thread.run_sync(partial(httpx2.create_ssl_context, trust_env=False))
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            network_backend=GuardedBackend(self._guard),
            max_connections=2 * self._limits.at_once,
            max_keepalive_connections=self._limits.idle,
            keepalive_expiry=self._limits.keep_alive_seconds,
            http2=True,
        )
        await self._pool.__aenter__()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._close_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        try:
            # Told of no error, the group wraps none.
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._pool.__aexit__(kind, error, trace)

    async def _close_idle(self) -> None:
        """Close what sites keep open for nothing: the pool itself looks for that only when it is asked for a page."""
        while True:
            await anyio.sleep(self._limits.keep_alive_seconds)
            for connection in self._pool.connections:
                if connection.is_idle() and connection.has_expired():
                    await connection.aclose()

    async def fetch(self, hit: Hit, stale: Page | None = None) -> Page | Skipped:  # noqa: PLR0911  (one a failure)
        """Fetch one page, redirects included, within the limits for one page.

        `stale` is what an earlier fetch of the hit gave: it comes back, with the new headers, when it has not changed.
        """
        async with self._shared.place(f"site {urls.site(hit.url)}", self._limits.per_host), self._all:
            start = time.monotonic()
            try:
                with anyio.fail_after(self._limits.page_seconds):
                    return await self._follow(hit, start, stale)
            except TimeoutError:
                return _skipped(hit, SkipReason.TIMEOUT, "the page's time is over", start)
            except BlockedAddress as error:
                return _skipped(hit, SkipReason.BLOCKED_ADDRESS, str(error), start)
            except httpcore2.TimeoutException as error:
                return _skipped(hit, SkipReason.TIMEOUT, repr(error), start)
            except _Refused as error:
                return _skipped(hit, error.reason, error.detail, start, error.status)
            except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, OSError) as error:
                return _skipped(hit, SkipReason.NETWORK_ERROR, repr(error), start)
            except content_coding.DamagedBody as error:
                return _skipped(hit, SkipReason.BAD_ENCODING, repr(error), start)

    async def _follow(self, hit: Hit, start: float, stale: Page | None) -> Page:
        url = self._checked(hit.url)
        for _ in range(self._limits.redirects + 1):
            await self._ask_robots(url)
            conditions = freshness.conditions(stale.headers) if stale and stale.url == url else {}
            async with self._asked(url, conditions) as (reply, headers):
                if stale and conditions and reply.status == NOT_MODIFIED:
                    renewed = freshness.renewed(stale.headers, _freshness_headers(headers))
                    return replace(stale, hit=hit, headers=renewed, ms=_ms_since(start), cached=True)
                if reply.status not in REDIRECTS or "location" not in headers:
                    body = await self._body(reply, headers)
                    kind, charset = content_type(headers)
                    return Page(hit, url, kind, charset, body, _ms_since(start), _freshness_headers(headers))
                url = self._next(url, headers)
        raise _Refused(SkipReason.NETWORK_ERROR, f"more than {self._limits.redirects} redirects")

    @asynccontextmanager
    async def _asked(
        self, url: str, conditions: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[tuple[httpcore2.Response, httpx2.Headers]]:
        """Send one request, unless the site asked us to wait, and note whether it asks that now."""
        origin = urls.origin(url)
        if (until := await self._backoff.until(origin)) is not None:
            raise _Refused(SkipReason.RATE_LIMITED, f"the site asked to wait until {clock_time(until)}")
        request = httpx2.Request("GET", url, headers=HEADERS | dict(conditions))
        core = httpcore2.Request("GET", _core_url(request.url), headers=request.headers.raw)
        reply = await self._pool.handle_async_request(core)
        try:
            headers = httpx2.Headers(reply.headers)
            await self._backoff.note(origin, reply.status, headers.get("retry-after"))
            yield reply, headers
        finally:
            await reply.aclose()

    async def _ask_robots(self, url: str) -> None:
        if self._robots and (refusal := await self._robots.refusal(url)):
            raise _Refused(refusal.reason, refusal.detail)

    async def _robots_txt(self, url: str) -> RobotsReply:
        """Fetch a robots.txt, redirects included; more redirects than we follow count as none (RFC 9309, 2.3.1.2)."""
        for _ in range(self._limits.redirects + 1):
            async with self._asked(url) as (reply, headers):
                if reply.status not in REDIRECTS:
                    return RobotsReply(reply.status, await self._beginning(reply, headers))
                url = self._next(url, headers)
        return RobotsReply(404)

    async def _beginning(self, reply: httpcore2.Response, headers: httpx2.Headers) -> bytes:
        """Read as much of a robots.txt as is parsed: a longer one counts up to there."""
        assert self._robots_limits is not None
        _check_coding(reply, headers)
        body = bytearray()
        async with aclosing(_unpacked(reply, headers, self._limits.wire_bytes)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) >= self._robots_limits.parsed_bytes:
                    break
        return bytes(body)

    def _next(self, url: str, headers: httpx2.Headers) -> str:
        try:
            return self._checked(urljoin(url, _location(headers)))
        except ValueError as error:
            raise _Refused(SkipReason.BLOCKED_ADDRESS, "the address is no web address") from error

    def _checked(self, url: str) -> str:
        canonical = urls.canonical(url)
        if canonical is None or len(canonical) > self._limits.url_chars:
            raise _Refused(SkipReason.BLOCKED_ADDRESS, "the address is no web address")
        try:
            httpx2.URL(canonical)
        except httpx2.InvalidURL as error:
            raise _Refused(SkipReason.BLOCKED_ADDRESS, "the address is no web address") from error
        return canonical

    async def _body(self, reply: httpcore2.Response, headers: httpx2.Headers) -> bytes:
        _check_status(reply.status)
        if content_type(headers)[0] not in READABLE_TYPES:
            raise _Refused(SkipReason.WRONG_TYPE, headers["content-type"][:80], reply.status)
        _check_coding(reply, headers)
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._most_wire_bytes(headers):
            raise _Refused(SkipReason.TOO_LARGE, f"{declared} bytes declared", reply.status)
        return await self._read(reply, headers)

    async def _read(self, reply: httpcore2.Response, headers: httpx2.Headers) -> bytes:
        """Read and decode the body; both sizes are counted as it comes, so that a bomb is never unpacked."""
        body = bytearray()
        async with aclosing(_unpacked(reply, headers, self._most_wire_bytes(headers))) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) >= pdf.MAGIC_WITHIN_BYTES:
                    self._check_body(body, headers, reply.status)
        self._check_body(body, headers, reply.status)
        return bytes(body)

    def _check_body(self, body: bytearray, headers: httpx2.Headers, status: int) -> None:
        """Refuse what has come of a body so far: its first bytes tell what it is."""
        is_pdf = pdf.is_pdf(body)
        if kind := signatures.binary_kind(body):
            raise _Refused(SkipReason.WRONG_TYPE, kind, status)
        if content_type(headers)[0] in BINARY_TYPES and not is_pdf:
            raise _Refused(SkipReason.WRONG_TYPE, "a download that is no PDF", status)
        if len(body) > (self._limits.pdf_bytes if is_pdf else self._limits.body_bytes):
            raise _Refused(SkipReason.TOO_LARGE, "too large once unpacked", status)

    def _most_wire_bytes(self, headers: httpx2.Headers) -> int:
        """Return what may come over the wire: a PDF may be larger than a page of HTML."""
        may_be_pdf = content_type(headers)[0] in pdf.TYPES | BINARY_TYPES | {""}
        return self._limits.pdf_bytes if may_be_pdf else self._limits.wire_bytes


def _unpacked(reply: httpcore2.Response, headers: httpx2.Headers, limit: int) -> AsyncGenerator[bytes, None]:
    return content_coding.unpacked(_counted(reply, limit), _coding(headers))


async def _counted(reply: httpcore2.Response, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the bytes on the wire as they come, up to a limit."""
    count = 0
    async for piece in reply.aiter_stream():
        count += len(piece)
        if count > limit:
            raise _Refused(SkipReason.TOO_LARGE, "too large on the wire", reply.status)
        yield piece


def content_type(headers: httpx2.Headers) -> tuple[str, str | None]:
    """Return the media type in lower case and the charset label, if any."""
    kind, *rest = headers.get("content-type", "").split(";")
    labels = [part.split("=", 1)[1] for part in rest if part.strip().lower().startswith("charset=")]
    return kind.strip().lower(), labels[0].strip(" \"'").lower() if labels else None


def _core_url(url: httpx2.URL) -> httpcore2.URL:
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _location(headers: httpx2.Headers) -> str:
    locations = headers.get_list("location")
    if len(locations) != 1:
        raise _Refused(SkipReason.NETWORK_ERROR, f"a redirect with {len(locations)} locations")
    return locations[0]


def _check_status(status: int) -> None:
    if status == 200:
        return
    reason = REASONS.get(status, SkipReason.SERVER_ERROR if status >= 500 else SkipReason.NOT_FOUND)
    raise _Refused(reason, f"status {status}", status)


def _check_coding(reply: httpcore2.Response, headers: httpx2.Headers) -> None:
    if _coding(headers) not in content_coding.TAKEN:
        raise _Refused(SkipReason.BAD_ENCODING, "a content coding that was not offered", reply.status)


def _coding(headers: httpx2.Headers) -> str:
    return headers.get("content-encoding", "").strip().lower()


def _skipped(hit: Hit, reason: SkipReason, detail: str, start: float, status: int | None = None) -> Skipped:
    return Skipped(hit.url, reason, detail, status, _ms_since(start))


def _freshness_headers(headers: httpx2.Headers) -> freshness.Headers:
    return tuple((name, headers[name]) for name in freshness.NAMES if name in headers)


def _ms_since(start: float) -> int:
    return round((time.monotonic() - start) * 1000)
