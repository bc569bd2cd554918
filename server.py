"""The HTTP server behind OpenAI's API: routes, keys, admission, streaming, errors.

Knows how an answer travels, not how it is found: that is `agent.pipeline`. What runs for a client runs inside
`Running`, whose task group ends with the client.
"""

import asyncio
import gc
import hashlib
import hmac
import logging
import math
import re
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Protocol

import anyio
import uvicorn
from fastapi import APIRouter, FastAPI, Header, Path, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as HTTPError
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent import command, page, pipeline
from agent import plan as planning
from agent.build import open_tools
from agent.door import RETRY_AFTER_SECONDS, Door, Place
from agent.errors import (
    AgentError,
    BadRequest,
    BadSettings,
    ModelFailed,
    ModelTimeout,
    QueueFull,
    RateLimited,
    RequestTooLarge,
    RunNotFound,
    Starting,
    Stopping,
    Unauthorized,
)
from agent.key_limits import KeyLimits, Left
from agent.metrics import CONTENT_TYPE, Metrics
from agent.reason import Emit
from agent.recalled import Recalled
from agent.repeats import Given, Repeats, say_again
from agent.runs import RunNotes, Runs
from agent.settings import Settings
from agent.telemetry import RunListener, request_id
from agent.tools import Tools
from agent.types import Answer, Event, Plan, Question, Reading
from agent.version import VERSION
from agent.wire import openapi, reference
from agent.wire.asking import Defaults, Hints
from agent.wire.chat_reply import ChatStream, Chunks, Head, completion_body
from agent.wire.chat_request import ChatRequest, chat_question
from agent.wire.offers import OFFERS, find_offer, model_body
from agent.wire.refusals import error_body, invalid_request
from agent.wire.responses_reply import SOURCES, ResponseStream, response_object
from agent.wire.responses_request import ResponsesRequest, responses_question
from agent.wire.run_record import run_record
from agent.wire.search_api import SearchRequest, search_body, search_question
from agent.wire.sse import Json, dump
from retrieval.computing import computed

if TYPE_CHECKING:
    from agent.tracing import Tracing

log = logging.getLogger("wellread")

KEEP_ALIVE_SECONDS = 10.0
# A client that takes none of its bytes for this long is gone, and frees its place.
STALLED_SECONDS = 60.0
# A request that trickles in holds a connection; its head must have come by then, and as long after that its body.
RECEIVE_SECONDS = 10.0
# Of a request's bytes, how many may come without making up a head, or more of a body.
MAX_HEAD_BYTES = 65_536
# How many requests may wait on a connection for the one before them.
MOST_PIPELINED = 8
INFO_SECONDS = 2.0
STOP_SECONDS = 1
# How many connections may wait to be taken, as uvicorn has it.
BACKLOG = 2_048
# How often it is looked whether the last answer has finished.
DRAIN_LOOK_SECONDS = 0.05
# Some clients give up on a reply whose head has not come after five minutes; then a whole body begins with blank lines.
BODY_PATIENCE_SECONDS = 240.0
# How many are told again at once what they were told before; it is no work.
MOST_TOLD_AGAIN = 1_000
# How often it is looked whether a silence is to be filled, in shares of its length.
BEAT_SHARE = 0.25
# Who asks where no key is needed.
NOBODY = ""
EXPOSED = (
    "x-request-id",
    "x-run-id",
    "retry-after",
    "x-should-retry",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
TOO_LATE = ModelTimeout("The answer was not finished in time. Ask for less effort.")
INTERNAL = "Something went wrong inside the server; its log tells more."
# How long a thread that ranks or proves may keep the interpreter from the loop: a tenth of the default.
SWITCH_SECONDS = 0.0005
# After how many new objects, and collections of the younger ones, cycles are looked for; by default 700, 10 and 10.
# Little at a time, and the old ones rarely: each look holds the event loop, the longer the more it looks at.
COLLECT_AFTER = (1_000, 5, 800)
PUBLIC_PATHS = frozenset({"/", "/health", "/ready", "/version", "/docs", "/openapi.json"})
PAGE_FILES = "/page/"
LIVES: Json = {"status": "ok"}
RELEASE: Json = {"name": "wellread", "version": VERSION}
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
LOCAL_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
RawHeaders = list[tuple[bytes, bytes]]
STREAM_HEADERS: RawHeaders = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
JSON_HEADERS: RawHeaders = [(b"content-type", b"application/json")]

Answerer = Callable[[Question, Tools, Emit], Awaitable[None]]
XTask = Annotated[str, Header(description="name of a side request, as Open WebUI's {{TASK}} gives it")]
XSearch = Annotated[str, Header(description="off: answer from the model alone")]
XStatus = Annotated[str, Header(description="on: tell progress as Open WebUI's status events")]
XWatch = Annotated[
    str, Header(description="on: tell every step of the reading, and every page, as `wellread` in chunks")
]
XRetry = Annotated[str, Header(description="how often a client has repeated this request by itself")]
RunId = Annotated[str, Path(alias="id", description="id of a completion or response, or what x-run-id told")]
Work = Callable[[Emit], Awaitable[Json]]
Opener = Callable[[Settings], AbstractAsyncContextManager[Tools]]


class Writer(Protocol):
    """Writes a stream as bytes, in the shape of one API."""

    def opening(self) -> bytes:
        """Write what opens the stream, before any work."""
        ...

    def keep_alive(self) -> bytes:
        """Write what fills a silence."""
        ...

    def event(self, event: Event) -> bytes:
        """Write what one event says; the last one is an Answer."""
        ...

    def ending(self, error: AgentError | None) -> bytes:
        """Write what ends the stream, well or with an error."""
        ...


class Reader(Protocol):
    """The shape of `agent.pipeline.read`."""

    def __call__(
        self,
        question: Question,
        plan: Plan,
        tools: Tools,
        emit: Emit,
        *,
        pages: int | None = None,
        context_chars: int = 0,
    ) -> Awaitable[Reading]:
        """Read the web for a question."""
        ...


# ---- running for a client


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a run may take and be silent."""

    answer_seconds: float
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    body_patience_seconds: float = BODY_PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: with a body, or with an error; `worked` says whether work had begun."""

    body: Json
    error: AgentError | None = None
    worked: bool = True


class Output:
    """Writes a reply to its client, and a filler where there was nothing to write for a while.

    A client that takes none of its bytes for long is gone: then `scope` is cancelled, and all work with it.
    """

    def __init__(
        self, send: Send, scope: anyio.CancelScope, keep_alive_seconds: float, headers: RawHeaders | None = None
    ) -> None:
        self._send = send
        self._scope = scope
        self._keep_alive_seconds = keep_alive_seconds
        self._headers = headers or []
        self._written = time.monotonic()
        self._waiting_since: float | None = None
        self._ended = False
        self.begun = False

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Write the head."""
        self.begun = True
        await self._deliver({"type": "http.response.start", "status": status, "headers": [*headers, *self._headers]})

    async def write(self, body: bytes) -> None:
        """Write a part of the body."""
        await self._deliver({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Write the last part of the body."""
        self._ended = True
        await self._deliver({"type": "http.response.body", "body": body, "more_body": False})

    async def beat(self, filler: Callable[[], bytes]) -> None:
        """Fill silences as long as it goes on, and see whether the client still takes what it is sent."""
        while not self._ended:
            await anyio.sleep(self._keep_alive_seconds * BEAT_SHARE)
            now = time.monotonic()
            if self._waiting_since is not None and now - self._waiting_since > STALLED_SECONDS:
                self._scope.cancel()
            elif self._waiting_since is None and now - self._written >= self._keep_alive_seconds and not self._ended:
                await self.write(filler())

    async def _deliver(self, message: Message) -> None:
        self._written = time.monotonic()
        self._waiting_since = self._waiting_since or self._written
        try:
            await self._send(message)
        except OSError:
            self._scope.cancel()
        self._waiting_since = None


class Running(Response):
    """Runs a pipeline as long as its client stays, and writes what it emits: as a stream, or as one body at its end.

    The `listeners` are told how it ended; where a record of the run is kept, the reply's head names it by `run_id`.
    """

    def __init__(
        self,
        work: Work,
        door: Door,
        limits: Limits,
        writer: Writer | None = None,
        *,
        listeners: Sequence[RunListener] = (),
        run_id: str = "",
    ) -> None:
        self._work = work
        self._door = door
        self._limits = limits
        self._writer = writer
        self._listeners = listeners
        self._run_id = run_id
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run and write; leaving, failing and finishing all end every task of it."""
        with self._door.place() as place:
            try:
                await self._run(place, receive, send)
            finally:
                self._note_end()

    async def _run(self, place: Place, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, receive, group.cancel_scope)
            named = [(b"x-run-id", self._run_id.encode())] if self._run_id else []
            output = Output(send, group.cancel_scope, self._limits.keep_alive_seconds, named)
            if self._writer is None:
                group.start_soon(self._be_patient, output)
                await self._write_body(place, output)
            else:
                group.start_soon(output.beat, self._writer.keep_alive)
                await self._write_stream(place, output, self._writer)
            group.cancel_scope.cancel()

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _write_stream(self, place: Place, output: Output, writer: Writer) -> None:
        async def emit(event: Event) -> None:
            written = writer.event(event)
            if written:
                await output.write(written)

        await output.begin(200, STREAM_HEADERS)
        await output.write(writer.opening())
        finished = await self._finished(place, emit)
        if finished.error:
            _log_fault(finished.error)
        await output.end(writer.ending(finished.error))

    async def _write_body(self, place: Place, output: Output) -> None:
        finished = await self._finished(place, _unheard)
        response = _json_response(finished.body)
        if finished.error:
            response = error_response(finished.error, after_work=finished.worked)
        if not output.begun:
            await output.begin(response.status_code, response.raw_headers)
        await output.end(bytes(response.body))

    async def _be_patient(self, output: Output) -> None:
        """Begin a body that takes long with blank lines: what it will say is not known yet, but it will be JSON."""
        await anyio.sleep(self._limits.body_patience_seconds)
        await output.begin(200, JSON_HEADERS)
        await output.beat(lambda: b"\n")

    async def _finished(self, place: Place, emit: Emit) -> Finished:
        """Wait for the work, and note an error that ended it before the client is told: it may ask at once."""
        finished = await self._in_time(place, emit)
        if finished.error:
            self._note_end(finished.error)
        return finished

    def _note_end(self, error: AgentError | None = None) -> None:
        for listener in self._listeners:
            _heard(partial(listener.end, error))

    async def _in_time(self, place: Place, emit: Emit) -> Finished:
        """Wait for a seat and work, within the time for an answer."""
        finished = Finished({}, Stopping(), worked=False)
        place.scope.deadline = anyio.current_time() + self._limits.answer_seconds
        with place.scope:
            async with place.seats:
                finished = replace(finished, worked=True)
                finished = await self._worked(emit)
        if place.scope.cancelled_caught and not self._door.closed:
            return replace(finished, error=TOO_LATE if finished.worked else QueueFull(RETRY_AFTER_SECONDS))
        return finished

    async def _worked(self, emit: Emit) -> Finished:
        """Do the work; the outermost boundary of a run: a fault becomes an error that the client is told."""
        try:
            return Finished(await self._work(emit))
        except Exception as error:
            told = _told(error)
            if told is None:
                log.exception("unexpected error in the pipeline")
            return Finished({}, told or AgentError(INTERNAL))


def _heard(tell: Callable[[], None]) -> None:
    """Tell a listener; its faults are its own, and no part of the answer."""
    try:
        tell()
    except Exception:
        log.exception("a listener failed")


async def _unheard(event: Event) -> None:
    """Take an event that a body does not tell."""


def _json_response(body: Json, status: int = 200) -> Response:
    return Response(dump(body), status, media_type="application/json")


def _readiness(checks: Mapping[str, str], engines: Mapping[str, str], degraded: Mapping[str, str]) -> Response:
    ready = all(state == "ok" for state in checks.values())
    status = "ready" if ready else "not ready"
    body = {"status": status, "checks": checks, "engines": engines, "degraded": degraded}
    return _json_response(body, 200 if ready else 503)


def _told(error: BaseException) -> AgentError | None:
    """Find the error that clients are told, also inside the groups that task groups raise."""
    if isinstance(error, AgentError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((told for one in inner if (told := _told(one))), None)


# ---- errors


def error_response(error: AgentError, status: int | None = None, *, after_work: bool = False) -> Response:
    """Write an error as a reply. What failed after work was done must not be repeated by clients on their own."""
    status = status or error.status
    if status >= 500:
        _log_fault(error)
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s else {}
    if status == 500 or (after_work and status > 500):
        headers["x-should-retry"] = "false"
    if isinstance(error, Stopping):
        headers["connection"] = "close"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(dump(error_body(error)), status, headers, "application/json")


def _log_fault(error: AgentError) -> None:
    """Log what the client is told and what lies behind it."""
    behind = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
    log.warning("answered with %s: %s%s", error.code, error, behind)


HTTP_ERRORS = {
    400: "The body cannot be read: it must be JSON in UTF-8, without thousands of levels or digits.",
    404: "There is nothing at this path.",
    405: "This method is not offered at this path.",
    408: "The request took too long to arrive.",
}


def _http_error(settings: Settings, error: HTTPError) -> Response:
    if error.status_code == 413:
        return error_response(RequestTooLarge(settings.max_body_bytes))
    response = error_response(BadRequest(HTTP_ERRORS.get(error.status_code, error.detail)), error.status_code)
    response.headers.update(error.headers or {})
    return response


def _add_error_handlers(app: FastAPI, settings: Settings) -> None:
    @app.exception_handler(AgentError)
    async def told(request: Request, error: AgentError) -> Response:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_response(invalid_request(error.errors()))

    @app.exception_handler(HTTPError)
    async def refused(request: Request, error: HTTPError) -> Response:
        return _http_error(settings, error)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error", exc_info=error)
        return error_response(AgentError(INTERNAL))


# ---- around every request


class RequestIds:
    """Gives every request an id, in its log lines and its reply's headers; logs a line at its end, and counts it."""

    def __init__(self, metrics: Metrics, app: ASGIApp) -> None:
        self._metrics = metrics
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the client's id where it is a sane one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        known = given if REQUEST_ID.fullmatch(given) else f"req-{uuid.uuid4().hex}"
        token = request_id.set(known)
        try:
            await self._timed(scope, receive, send, known)
        finally:
            request_id.reset(token)

    async def _timed(self, scope: Scope, receive: Receive, send: Send, known: str) -> None:
        start, status = time.monotonic(), 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.note_first_byte(_route(scope), time.monotonic() - start)
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = known
                # Replies are of one client; a browser takes none for another type than it says.
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("x-content-type-options", "nosniff")
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            route = _route(scope)
            log.info("%s %s %d %.3fs", scope["method"], route, status, time.monotonic() - start)
            self._metrics.note_request(scope["method"], route, status, time.monotonic() - start)


def _route(scope: Scope) -> str:
    """Return the route's own pattern: a path may carry anything."""
    return getattr(scope.get("route"), "path", "-")


class Keys:
    """Lets nothing but the public paths through without a key, when there are keys."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._known = [_digest(key.get_secret_value()) for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge by the very path that the router sees."""
        if scope["type"] == "http":
            scope.setdefault("state", {})["owner"] = NOBODY
        if scope["type"] != "http" or not self._known or _is_public(scope):
            await self._app(scope, receive, send)
            return
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        missing = scheme.lower() != "bearer" or not key.strip()
        if missing or not self._knows(key.strip()):
            await error_response(Unauthorized(missing=missing))(scope, receive, send)
            return
        scope["state"]["owner"] = _digest(key.strip()).hex()
        await self._app(scope, receive, send)

    def _knows(self, key: str) -> bool:
        """Compare with every key, in the same time whatever is right in it."""
        digest = _digest(key)
        return sum(hmac.compare_digest(digest, known) for known in self._known) > 0


def _is_public(scope: Scope) -> bool:
    path = scope["path"]
    return path in PUBLIC_PATHS or path.startswith(PAGE_FILES) or _opens_run_page(scope)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Quota:
    """Counts what each key asks, tells in every reply what is left to it, and refuses what is beyond that."""

    def __init__(self, app: ASGIApp, limits: KeyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is posted: all of it is work."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        owner = scope["state"]["owner"]
        try:
            async with self._limits.asking(owner) as left:
                await self._app(scope, receive, _telling(left, send))
        except RateLimited as error:
            await error_response(error)(scope, receive, _telling(await self._limits.left(owner), send))


def _telling(left: Left | None, send: Send) -> Send:
    """Add the standard headers of a limit to a reply, where there is one."""
    if left is None:
        return send

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-ratelimit-limit-requests"] = str(left.limit)
            headers["x-ratelimit-remaining-requests"] = str(left.remaining)
            headers["x-ratelimit-reset-requests"] = f"{math.ceil(left.reset_seconds)}s"
        await send(message)

    return telling


class BodyLimit:
    """Ends a request whose body is too large or trickles in, while it comes."""

    def __init__(self, app: ASGIApp, size: int, seconds: float) -> None:
        self._app = app
        self._size = size
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count bytes and time until the body is whole; waiting for a client to leave is not limited."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        too_large = declared.isdecimal() and int(declared) > self._size
        deadline, taken, whole = anyio.current_time() + self._seconds, 0, False

        async def limited() -> Message:
            nonlocal taken, whole
            if too_large:
                raise HTTPError(413)
            with anyio.CancelScope(deadline=math.inf if whole else deadline) as late:
                message = await receive()
            if late.cancelled_caught:
                raise HTTPError(408)
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > self._size:
                raise HTTPError(413)
            return message

        await self._app(scope, limited, send)


class App(FastAPI):
    """FastAPI with request ids and CORS around everything, its own answers to faults included."""

    def build_middleware_stack(self) -> ASGIApp:
        """Put the outermost layers around FastAPI's."""
        settings: Settings = self.state.settings
        anywhere = settings.cors_origins or (("*",) if settings.api_keys else ())
        return RequestIds(
            self.state.metrics,
            CORSMiddleware(
                super().build_middleware_stack(),
                allow_origins=anywhere,
                allow_origin_regex=None if anywhere else LOCAL_ORIGINS,
                allow_methods=["GET", "POST", "OPTIONS"],
                allow_headers=["*"],
                expose_headers=EXPOSED,
            ),
        )


# ---- the application


def create_app(
    settings: Settings,
    tools: Tools | None = None,
    *,
    answer: Answerer = pipeline.answer,
    read: Reader = pipeline.read,
    limits: Limits | None = None,
    tracing: "Tracing | None" = None,
    opened: Opener = open_tools,
) -> FastAPI:
    """Make the application; without `tools` it opens its own when it starts and closes them when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            if tools is None:
                app.state.tools = await stack.enter_async_context(opened(settings))
            group = await stack.enter_async_context(anyio.create_task_group())
            group.start_soon(app.state.metrics.watch_loop)
            yield
            group.cancel_scope.cancel()

    limited = KeyLimits(settings.key_requests_per_minute, settings.key_concurrent, lambda: app.state.tools.shared)
    app = App(
        title="Wellread",
        version=VERSION,
        description=openapi.DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect would name the scheme that a proxy in front does not speak.
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(Keys, settings=settings),
            Middleware(Quota, limits=limited),
            Middleware(BodyLimit, size=settings.max_body_bytes, seconds=RECEIVE_SECONDS),
        ],
    )
    app.state.settings, app.state.tools, app.state.tracing = settings, tools, tracing
    app.state.door = door = Door(settings.max_concurrent, settings.max_queue)
    app.state.metrics = metrics = Metrics()
    metrics.follow("runs_in_progress", "Runs at work.", lambda: door.running)
    metrics.follow("runs_waiting", "Runs that wait for a seat.", lambda: door.waiting)
    service = Service(app, answer, read, limits or Limits(settings.answer_seconds))
    app.include_router(service.router())
    _add_error_handlers(app, settings)
    return app


class Service:
    """The routes, over what they all need."""

    def __init__(self, app: FastAPI, answer: Answerer, read: Reader, limits: Limits) -> None:
        self._app = app
        self._settings: Settings = app.state.settings
        self._door: Door = app.state.door
        self._answer = answer
        self._read = read
        self._limits = limits
        self._started = int(time.time())
        self._repeats = Repeats(self._settings.repeat_seconds)
        self._recalled = Recalled(self._settings.recall_seconds)
        self._runs = Runs(self._settings.run_seconds, run_record)
        self._aside = Door(MOST_TOLD_AGAIN, 0)
        self._metrics: Metrics = app.state.metrics
        self._tracing: Tracing | None = app.state.tracing

    @property
    def _tools(self) -> Tools:
        tools: Tools = self._app.state.tools
        return tools

    @property
    def _defaults(self) -> Defaults:
        return Defaults(self._settings.effort, self._settings.citation_style, self._settings.side_markers)

    def router(self) -> APIRouter:
        """List the routes; those of the API also without /v1, for clients that leave it out of their base URL."""
        router = APIRouter()
        for base in ("/v1", ""):
            add = partial(router.add_api_route, response_model=None, include_in_schema=bool(base))
            add(f"{base}/chat/completions", self.chat, methods=["POST"], **openapi.CHAT)
            add(f"{base}/responses", self.responses, methods=["POST"], **openapi.RESPONSES)
            add(f"{base}/search", self.search, methods=["POST"], **openapi.SEARCH)
            add(f"{base}/runs/{{id}}", self.run, methods=["GET"], **openapi.RUN)
            add(f"{base}/models", self.models, methods=["GET"], **openapi.MODELS)
            add(f"{base}/models/{{model:path}}", self.model, methods=["GET"], **openapi.MODEL)
        add("/health", self.health, methods=["GET"], include_in_schema=True, **openapi.HEALTH)
        add("/ready", self.ready, methods=["GET"], include_in_schema=True, **openapi.READY)
        add("/metrics", self.metrics, methods=["GET"], include_in_schema=True, **openapi.METRICS)
        add("/version", self.version, methods=["GET"], include_in_schema=True, **openapi.RELEASE)
        add("/openapi.json", self.document, methods=["GET"])
        add("/docs", self.docs, methods=["GET"])
        add("/", self.page, methods=["GET"])
        add("/page/{name}", self.page_file, methods=["GET"])
        return router

    async def chat(
        self,
        request: ChatRequest,
        raw: Request,
        x_task: XTask = "",
        x_search: XSearch = "",
        x_status: XStatus = "",
        x_watch: XWatch = "",
        x_stainless_retry_count: XRetry = "",
    ) -> Response:
        """Answer a conversation. All that can be refused is refused here, before the reply begins."""
        question = chat_question(request, self._defaults, Hints(x_task, x_search))
        head = Head(
            f"chatcmpl-{uuid.uuid4().hex}",
            int(time.time()),
            request.model,
            f"wellread-{VERSION}",
            tiered=request.service_tier is not None,
        )
        chunks = Chunks(head, request.stream_options.include_usage, question.show_reasoning)
        status = request.status_events or x_status.lower() == "on"
        writer = ChatStream(chunks, status=status, watched=x_watch.lower() == "on")

        asked = self._call(raw, head.id, question, x_stainless_retry_count)

        async def work(emit: Emit) -> Json:
            made = await self._answered(asked, emit)
            return completion_body(head, made, show_reasoning=question.show_reasoning)

        door = await self._admit(asked)
        return self._running(work, door, writer if request.stream else None, asked)

    async def responses(
        self,
        request: ResponsesRequest,
        raw: Request,
        x_task: XTask = "",
        x_search: XSearch = "",
        x_stainless_retry_count: XRetry = "",
    ) -> Response:
        """Answer a conversation in the newer API's shape. What can be refused is refused before the reply begins."""
        owner = _owner(raw)
        recalled = partial(self._recalled.of, owner)
        question = responses_question(request, self._defaults, Hints(x_task, x_search), recalled)
        response = response_object(request, f"resp_{uuid.uuid4().hex}", int(time.time()))
        asked = self._call(raw, response["id"], question, x_stainless_retry_count)
        writer = ResponseStream(response, with_sources=SOURCES in request.include)

        async def work(emit: Emit) -> Json:
            write = emit if request.stream else _written_to(writer)

            async def told(event: Event) -> None:
                # Before it is told: the next turn may come at once.
                if isinstance(event, Answer):
                    self._recalled.keep(owner, writer.message_id, event.text)
                await write(event)

            await self._answered(asked, told)
            return writer.response

        door = await self._admit(asked)
        return self._running(work, door, writer if request.stream else None, asked)

    def _call(self, raw: Request, run_id: str, question: Question, retries: str) -> "Call":
        """Note who asks what, and find the answer that a client had before it repeated its request by itself."""
        owner = _owner(raw)
        question = replace(question, owner=owner)
        given = self._repeats.of(owner, question) if _is_repeat(retries) else None
        notes = None if given else self._runs.begin(owner, run_id)
        listeners = () if given else (self._metrics.run(), self._traced(run_id, raw.headers), notes)
        return Call(owner, run_id, question, given, tuple(filter(None, listeners)), notes is not None)

    def _traced(self, run_id: str, headers: Mapping[str, str]) -> RunListener | None:
        return self._tracing.run(run_id, headers) if self._tracing else None

    def _running(self, work: Work, door: Door, writer: Writer | None, asked: "Call") -> Running:
        run_id = asked.run_id if asked.kept else ""
        return Running(work, door, self._limits, writer, listeners=asked.listeners, run_id=run_id)

    async def _answered(self, asked: "Call", emit: Emit) -> Answer:
        """Answer, or give the answer again to a client that repeats its request by itself."""
        if asked.given is not None:
            self._runs.again(asked.owner, asked.given.run_id, asked.run_id)
            await say_again(asked.given.answer, emit)
            return asked.given.answer
        last: Event | None = None

        async def note(event: Event) -> None:
            nonlocal last
            last = event
            for listener in asked.listeners:
                _heard(partial(listener.take, event))
            if isinstance(event, Answer):
                self._repeats.keep(asked.owner, asked.question, Given(event, asked.run_id))
            await emit(event)

        await self._answer(asked.question, self._tools, note)
        if not isinstance(last, Answer):
            raise ModelFailed("The answer broke off.")
        return last

    async def run(self, run_id: RunId, raw: Request) -> Response:
        """Give the record of a run to its owner; to a browser the page that asks for it. Raises RunNotFound.

        That of another is not found either.
        """
        if _opens_run_page(raw.scope):
            return _page_file("run.html")
        record = self._runs.of(_owner(raw), run_id)
        if record is None:
            raise RunNotFound(kept_here=self._runs.kept_here)
        return Response(record, media_type="application/json")

    async def search(self, request: SearchRequest) -> Response:
        """Read the web for a query, without a model's answer."""
        question = search_question(request)
        self._enter(question)
        return Running(partial(self._look_up, request, question), self._door, self._limits)

    async def _look_up(self, request: SearchRequest, question: Question, emit: Emit) -> Json:
        # In a thread: it may have to detect the language.
        plan = await computed(planning.given, question, request.queries, request.language)
        reading = await self._read(
            question,
            plan,
            self._tools,
            emit,
            pages=request.pages or self._settings.pages,
            context_chars=request.max_chars,
        )
        return search_body(f"search-{uuid.uuid4().hex}", reading)

    async def _admit(self, asked: "Call") -> Door:
        """Refuse at the door what has no place or could not be answered; what is told again takes no place here."""
        if asked.given is not None:
            return self._aside
        try:
            self._enter(asked.question)
            await pipeline.check(asked.question, self._tools)
        except AgentError as error:
            asked.refused(error)
            raise
        return self._door

    def _enter(self, question: Question) -> None:
        self._door.refuse_when_full()
        if self._settings.log_queries:
            log.info("asked %r", question.messages[-1].content)

    async def models(self) -> Json:
        """List what may be asked for, whether or not the model behind it is up."""
        tokens = await self._context_tokens()
        return {"object": "list", "data": [model_body(offer, self._started, tokens) for offer in OFFERS]}

    async def model(self, model: str) -> Json:
        """Tell of one model id; of all where it is left out after the slash."""
        if not model:
            return await self.models()
        return model_body(find_offer(model), self._started, await self._context_tokens())

    async def _context_tokens(self) -> int | None:
        with anyio.move_on_after(INFO_SECONDS), suppress(AgentError):
            return (await self._tools.model.info()).context_tokens
        return None

    async def health(self) -> Json:
        """Tell that the process lives."""
        return LIVES

    async def ready(self) -> Response:
        """Tell whether an answer could be given now, and if not, why."""
        checks = await self._tools.check()
        if self._door.closing:
            checks["server"] = "is stopping"
        engines = self._tools.engine_health()
        return _readiness(checks, engines, self._tools.degraded())

    async def metrics(self) -> Response:
        """Give all metrics to Prometheus."""
        self._metrics.note_upstreams(await self._tools.upstreams())
        return Response(await computed(self._metrics.written), media_type=CONTENT_TYPE)

    async def version(self) -> Json:
        """Tell which release runs."""
        return RELEASE

    async def document(self) -> Response:
        """Describe the API for programs."""
        return _json_response(openapi.completed(self._app.openapi()))

    async def docs(self) -> Response:
        """Describe the API for people."""
        page = reference.page(openapi.completed(self._app.openapi()))
        return Response(page, media_type="text/html", headers={"content-security-policy": reference.POLICY})

    async def page(self) -> Response:
        """Show the page where one asks and watches."""
        return _page_file("ask.html")

    async def page_file(self, name: str) -> Response:
        """Give a file of the pages."""
        return _page_file(name)


def _page_file(name: str) -> Response:
    if name not in page.FILES:
        raise HTTPError(404)
    kind, body = page.FILES[name]
    return Response(body, media_type=kind, headers=page.HEADERS)


def _opens_run_page(scope: Scope) -> bool:
    """Tell whether a browser opens the address of a run, with no key as yet: it is given the page, not the record."""
    opened = scope["path"].startswith("/runs/") and scope["method"] == "GET"
    return opened and "text/html" in Headers(scope=scope).get("accept", "")


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks what; `given`: the answer that a client had before it repeated its request by itself.

    The `listeners` take note of the run; of what is told again nobody does. `kept`: a record of it is.
    """

    owner: str
    run_id: str
    question: Question
    given: Given | None
    listeners: tuple[RunListener, ...]
    kept: bool

    def refused(self, error: AgentError) -> None:
        """Tell those who count that it was refused at the door; of what did not begin no record is kept."""
        for listener in self.listeners:
            if not isinstance(listener, RunNotes):
                listener.end(error)


def _owner(request: Request) -> str:
    return str(request.state.owner)


def _is_repeat(count: str) -> bool:
    """Read the header by which OpenAI's clients count their repeats."""
    return count.isdecimal() and count.strip("0") != ""


def _written_to(writer: Writer) -> Emit:
    """Let a writer follow events whose bytes nobody wants: it makes the body on the way."""

    async def emit(event: Event) -> None:
        writer.event(event)

    return emit


# ---- the command


class BoundedHttp(HttpToolsProtocol):
    """HTTP by uvicorn's parser in C, which alone would wait for a head of any size for any time."""

    _pending_bytes = 0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head from the beginning."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._made_up()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what has made up nothing yet: a head, a trailer, what comments a chunk."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request's head is larger than {MAX_HEAD_BYTES} bytes.")
        if self._waiting is None and not self._answering and not self.transport.is_closing():
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """Wait for the head of a further request too."""
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Take in a head, unless too many wait already."""
        self._made_up()
        if not self.transport.is_closing():
            super().on_headers_complete()
        if len(self.pipeline) > MOST_PIPELINED:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body."""
        self._made_up()
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Take in the end of a request."""
        self._made_up()
        if not self.transport.is_closing():
            super().on_message_complete()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self.loop.call_later(RECEIVE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Close, unless an answer is still under way: then the next request may be held back until it ends."""
        self._waiting = None
        if self._answering:
            self._wait_for_head()
        else:
            self.transport.close()

    def _made_up(self) -> None:
        self._pending_bytes = 0
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def http_config(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """Configure uvicorn for the application."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


class Listener(uvicorn.Server):
    """A uvicorn server that says where it listens, and leaves by returning: the caller still has tools to close."""

    def __init__(self, config: uvicorn.Config, door: Door, drain_seconds: float) -> None:
        super().__init__(config)
        self._door = door
        self._drain_seconds = drain_seconds
        self._patience_seconds = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and print the address in one line."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            command.say(f"Wellread listens on http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Be patient with what runs after SIGTERM alone: who presses Ctrl-C, or signals twice, waits for nothing."""
        self._patience_seconds = self._drain_seconds if sig == signal.SIGTERM and not self.should_exit else 0.0
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running answers finish, and refuse new ones; what takes too long ends with an error that says why."""
        self._door.let_nobody_in()
        begun = time.monotonic()
        # A second signal takes the patience away.
        while not self._door.empty and time.monotonic() - begun < self._patience_seconds:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        self._door.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at a signal, without raising it again at the end as uvicorn does."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def starting(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer while what the server answers with is still being opened: that it lives, and that it is not ready."""
    early = {"/health": _json_response(LIVES), "/version": _json_response(RELEASE)}
    early["/ready"] = _readiness({"server": "is starting"}, {}, {})
    await (early.get(scope["path"]) or error_response(Starting()))(scope, receive, send)


class Early(uvicorn.Server):
    """A server for the time until there is an application: an orchestrator sees at once that the process lives.

    Weights may have to be fetched first, for minutes. Signals are not its own: they end what is being opened.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        config.lifespan = "off"
        super().__init__(config)
        self._left = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals as they are."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to leave."""
        try:
            await super().serve(sockets)
        finally:
            self._left.set()

    async def leave(self) -> None:
        """Finish what is being answered, and let go of the sockets. Who comes meanwhile waits for the next server."""
        self.should_exit = True
        await self._left.wait()


async def serve(settings: Settings, opened: Opener = open_tools, answer: Answerer = pipeline.answer) -> None:
    """Open the tools and serve until a signal. Raises BadSettings or WeightsError."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with await anyio.to_thread.run_sync(_listening, settings) as sock:
        early = Early(http_config(starting))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(early.serve, [sock.dup()])
                await _serve_on(sock, early, settings, opened, answer)
        except BaseExceptionGroup as error:
            raise _alone(error) from error


async def _serve_on(sock: socket.socket, early: Early, settings: Settings, opened: Opener, answer: Answerer) -> None:
    async with AsyncExitStack() as stack:
        try:
            tracing = await stack.enter_async_context(_traces(settings))
            tools = await stack.enter_async_context(opened(settings))
        finally:
            await early.leave()
        _collect_less()
        traced = replace(tools, model=tracing.model(tools.model)) if tracing else tools
        app = create_app(settings, traced, answer=answer, tracing=tracing)
        await Listener(http_config(app), app.state.door, settings.drain_seconds).serve([sock])


def _listening(settings: Settings) -> socket.socket:
    """Take the port before anything is opened. Blocks. Raises BadSettings."""
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Of a name with addresses of both kinds the older one: every client knows it.
        family, *_, address = min(found, key=lambda each: each[0] == socket.AF_INET6)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise BadSettings(
            f"WELLREAD_PORT: {settings.host}:{settings.port} cannot be listened on ({error.strerror}). Is a server "
            "running there already? Else set WELLREAD_PORT or WELLREAD_HOST."
        ) from error


def _alone(error: BaseException) -> BaseException:
    """Return the one error inside the groups that task groups raise."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _collect_less() -> None:
    """Leave what the start made out of every collection, and collect less often: under load each one held the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@asynccontextmanager
async def _traces(settings: Settings) -> AsyncGenerator["Tracing | None", None]:
    """Open what sends traces, where it is set. Raises BadSettings."""
    if settings.otlp_url is None:
        yield None
        return
    try:
        from agent.tracing import Tracing
    except ImportError as error:
        raise BadSettings("WELLREAD_OTLP_URL: OpenTelemetry is missing: pip install 'wellread[tracing]'.") from error
    tracing = await anyio.to_thread.run_sync(Tracing.to, settings.otlp_url)
    try:
        yield tracing
    finally:
        await anyio.to_thread.run_sync(tracing.close)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `wellread` command; returns its exit code."""
    return command.run(arguments, serve)


if __name__ == "__main__":
    sys.exit(main())
