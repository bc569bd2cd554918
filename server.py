"""The HTTP server behind OpenAI's API and the `wellread` command: routes, keys, admission, streaming, errors.

Knows how an answer travels, not how it is found: that is `agent.pipeline`. What runs for a client runs inside
`Running`, whose task group ends with the client.
"""

import argparse
import asyncio
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
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Protocol

import anyio
import uvicorn
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastapi import APIRouter, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as HTTPError
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent import pipeline
from agent import plan as planning
from agent.ask import ask
from agent.build import files_searched, open_tools
from agent.errors import (
    AgentError,
    BadRequest,
    BadSettings,
    ModelFailed,
    ModelTimeout,
    QueueFull,
    RequestTooLarge,
    Stopping,
    Unauthorized,
)
from agent.reason import Emit
from agent.rerun import Screen, record, replay
from agent.settings import Settings, load_settings
from agent.tools import Tools
from agent.types import Answer, Event, Plan, Question, Reading
from agent.wire import DONE, Chunks, Head, Json, completion_body, dump, error_body, search_body, sse
from agent.wire_request import (
    OFFERS,
    ChatRequest,
    Defaults,
    Hints,
    Offer,
    SearchRequest,
    chat_question,
    find_offer,
    invalid_request,
    search_question,
)
from retrieval.errors import WeightsError

log = logging.getLogger("wellread")
request_id: ContextVar[str] = ContextVar("request_id", default="-")

KEEP_ALIVE_SECONDS = 10.0
# A client that takes none of its bytes for this long is gone, and frees its place.
STALLED_SECONDS = 60.0
# A request that trickles in holds a connection; the body must have come by then.
RECEIVE_SECONDS = 10.0
INFO_SECONDS = 2.0
STOP_SECONDS = 1
RETRY_AFTER_SECONDS = 10
# Events between the pipeline and its client: a slow client slows the pipeline down.
EVENTS_AHEAD = 64
INTERNAL = "Something went wrong inside the server; its log tells more."
PUBLIC_PATHS = frozenset({"/health", "/ready", "/version"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
LOCAL_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}

Answerer = Callable[[Question, Tools, Emit], Awaitable[None]]
Work = Callable[[Emit], Awaitable[Json]]
Opener = Callable[[Settings], AbstractAsyncContextManager[Tools]]


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


def _version() -> str:
    try:
        return metadata.version("wellread")
    except metadata.PackageNotFoundError:
        return "0+checkout"


VERSION = _version()


# ---- admission


class Door:
    """Lets so many requests work at once and so many wait, in the order of their coming; refuses the rest."""

    def __init__(self, running: int, waiting: int) -> None:
        self._room = running + waiting
        self._seats = anyio.Semaphore(running)
        self._inside: set[anyio.CancelScope] = set()
        self.closed = False

    def refuse_when_full(self) -> None:
        """Raise QueueFull when nobody more may come in, Stopping when nobody at all may."""
        if self.closed:
            raise Stopping
        if len(self._inside) >= self._room:
            raise QueueFull(RETRY_AFTER_SECONDS)

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Hold a place from now on. Raises QueueFull or Stopping."""
        self.refuse_when_full()
        scope = anyio.CancelScope()
        self._inside.add(scope)
        try:
            yield Place(self._seats, scope)
        finally:
            self._inside.discard(scope)

    def close(self) -> None:
        """End all work inside and let nobody in any more."""
        self.closed = True
        for scope in self._inside:
            scope.cancel()


@dataclass(frozen=True, slots=True)
class Place:
    """A place inside: wait for a seat before work, and work inside the scope."""

    seats: anyio.Semaphore
    scope: anyio.CancelScope


# ---- running for a client


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a run may take and be silent."""

    answer_seconds: float
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Finished:
    """How the work of a run ended: with a body, or with an error."""

    body: Json
    error: AgentError | None = None


class Gone(Exception):
    """The client left while it was written to."""


class Running(Response):
    """Runs a pipeline as long as its client stays, and writes what it emits: as a stream, or as one body at its end."""

    def __init__(self, work: Work, door: Door, limits: Limits, chunks: Chunks | None = None) -> None:
        self._work = work
        self._door = door
        self._limits = limits
        self._chunks = chunks
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run and write; leaving, failing and finishing all end every task of it."""
        with self._door.place() as place:
            await self._run(place, receive, send)

    async def _run(self, place: Place, receive: Receive, send: Send) -> None:
        outbox, inbox = anyio.create_memory_object_stream[Event | Finished](EVENTS_AHEAD)
        async with outbox, inbox, anyio.create_task_group() as group:
            group.start_soon(self._watch, receive, group.cancel_scope)
            group.start_soon(self._produce, place, outbox)
            try:
                await (self._write_body(inbox, send) if self._chunks is None else self._write_stream(inbox, send))
            except (Gone, OSError):
                log.info("client gone")
            group.cancel_scope.cancel()

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _produce(self, place: Place, outbox: MemoryObjectSendStream[Event | Finished]) -> None:
        finished = Finished({}, Stopping())
        place.scope.deadline = anyio.current_time() + self._limits.answer_seconds
        with place.scope:
            async with place.seats:
                finished = await self._finish(outbox.send)
        if place.scope.cancelled_caught and not self._door.closed:
            finished = Finished({}, ModelTimeout("The answer was not finished in time. Ask for less effort."))
        await outbox.send(finished)

    async def _finish(self, emit: Emit) -> Finished:
        """Do the work; the outermost boundary of a run: a fault becomes an error that the client is told."""
        try:
            return Finished(await self._work(emit))
        except Exception as error:
            told = _told(error)
            if told is None:
                log.exception("unexpected error in the pipeline")
            return Finished({}, told or AgentError(INTERNAL))

    async def _write_stream(self, inbox: MemoryObjectReceiveStream[Event | Finished], send: Send) -> None:
        assert self._chunks is not None
        headers = [(name.encode(), value.encode()) for name, value in STREAM_HEADERS.items()]
        await _deliver(send, {"type": "http.response.start", "status": 200, "headers": headers})
        await _write(send, sse(self._chunks.opening()))
        while not isinstance(item := await self._next(inbox), Finished):
            chunks = [self._chunks.keep_alive()] if item is None else self._chunks.event(item)
            if chunks:
                await _write(send, b"".join(map(sse, chunks)))
        await _write(send, (sse(self._broken(item.error)) if item.error else b"") + DONE, more=False)

    async def _next(self, inbox: MemoryObjectReceiveStream[Event | Finished]) -> Event | Finished | None:
        """Wait for the next event; None after a silence."""
        with anyio.move_on_after(self._limits.keep_alive_seconds):
            return await inbox.receive()
        return None

    def _broken(self, error: AgentError) -> Json:
        """Write and log an error that comes after the 200."""
        _log_fault(error)
        return error_body(error)

    async def _write_body(self, inbox: MemoryObjectReceiveStream[Event | Finished], send: Send) -> None:
        while not isinstance(item := await inbox.receive(), Finished):
            pass
        response = (
            error_response(item.error) if item.error else Response(dump(item.body), media_type="application/json")
        )
        headers = response.raw_headers
        await _deliver(send, {"type": "http.response.start", "status": response.status_code, "headers": headers})
        await _write(send, bytes(response.body), more=False)


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await _deliver(send, {"type": "http.response.body", "body": body, "more_body": more})


async def _deliver(send: Send, message: Message) -> None:
    """Send to a client that takes what it is sent. Raises Gone."""
    with anyio.move_on_after(STALLED_SECONDS) as stalled:
        await send(message)
    if stalled.cancelled_caught:
        raise Gone


def _told(error: BaseException) -> AgentError | None:
    """Find the error that clients are told, also inside the groups that task groups raise."""
    if isinstance(error, AgentError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((told for one in inner if (told := _told(one))), None)


# ---- errors


def error_response(error: AgentError, status: int | None = None) -> Response:
    """Write an error as a reply. What failed after work was done must not be repeated by clients on their own."""
    status = status or error.status
    if status >= 500:
        _log_fault(error)
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s else {}
    if status in {500, 502, 504}:
        headers["x-should-retry"] = "false"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(dump(error_body(error)), status, headers, "application/json")


def _log_fault(error: AgentError) -> None:
    """Log what the client is told and what lies behind it."""
    behind = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
    log.warning("answered with %s: %s%s", error.code, error, behind)


HTTP_ERRORS = {
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
    """Gives every request an id, in its log lines and in the reply's headers, and logs one line at its end."""

    def __init__(self, app: ASGIApp) -> None:
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
                MutableHeaders(scope=message)["x-request-id"] = known
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            # The route's own pattern: a path may carry anything.
            route = getattr(scope.get("route"), "path", "-")
            log.info("%s %s %d %.3fs", scope["method"], route, status, time.monotonic() - start)


class Keys:
    """Lets nothing but the public paths through without a key, when there are keys."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._known = [_digest(key.get_secret_value()) for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge by the very path that the router sees."""
        if scope["type"] != "http" or not self._known or scope["path"] in PUBLIC_PATHS:
            await self._app(scope, receive, send)
            return
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        missing = scheme.lower() != "bearer" or not key.strip()
        if missing or not self._knows(key.strip()):
            await error_response(Unauthorized(missing=missing))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, key: str) -> bool:
        """Compare with every key, in the same time whatever is right in it."""
        digest = _digest(key)
        return sum(hmac.compare_digest(digest, known) for known in self._known) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


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
            CORSMiddleware(
                super().build_middleware_stack(),
                allow_origins=anywhere,
                allow_origin_regex=None if anywhere else LOCAL_ORIGINS,
                allow_methods=["GET", "POST", "OPTIONS"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "retry-after", "x-should-retry"],
            )
        )


# ---- the application


def create_app(
    settings: Settings,
    tools: Tools | None = None,
    *,
    answer: Answerer = pipeline.answer,
    read: Reader = pipeline.read,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
) -> FastAPI:
    """Make the application; without `tools` it opens its own when it starts and closes them when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        if tools is not None:
            yield
            return
        async with open_tools(settings) as opened:
            app.state.tools = opened
            yield

    app = App(
        title="Wellread",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(Keys, settings=settings),
            Middleware(BodyLimit, size=settings.max_body_bytes, seconds=RECEIVE_SECONDS),
        ],
    )
    app.state.settings, app.state.tools = settings, tools
    app.state.door = Door(settings.max_concurrent, settings.max_queue)
    service = Service(app, answer, read, Limits(settings.answer_seconds, keep_alive_seconds))
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

    @property
    def _tools(self) -> Tools:
        tools: Tools = self._app.state.tools
        return tools

    def router(self) -> APIRouter:
        """List the routes; those of the API also without /v1, for clients that leave it out of their base URL."""
        router = APIRouter()
        for base in ("/v1", ""):
            add = partial(router.add_api_route, response_model=None, include_in_schema=bool(base))
            add(f"{base}/chat/completions", self.chat, methods=["POST"])
            add(f"{base}/search", self.search, methods=["POST"])
            add(f"{base}/models", self.models, methods=["GET"])
            add(f"{base}/models/{{model:path}}", self.model, methods=["GET"])
        add("/health", self.health, methods=["GET"])
        add("/ready", self.ready, methods=["GET"])
        add("/version", self.version, methods=["GET"])
        return router

    async def chat(
        self, request: ChatRequest, x_task: Annotated[str, Header()] = "", x_search: Annotated[str, Header()] = ""
    ) -> Response:
        """Answer a conversation. All that can be refused is refused here, before the reply begins."""
        settings = self._settings
        defaults = Defaults(settings.effort, settings.citation_style, settings.side_markers)
        question = chat_question(request, defaults, Hints(x_task, x_search))
        self._admit(question)
        await pipeline.check(question, self._tools)
        head = Head(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), request.model, f"wellread-{VERSION}")
        chunks = Chunks(head, request.stream_options.include_usage, question.show_reasoning)
        work = partial(self._complete, question, head)
        return Running(work, self._door, self._limits, chunks if request.stream else None)

    async def _complete(self, question: Question, head: Head, emit: Emit) -> Json:
        last: Event | None = None

        async def note(event: Event) -> None:
            nonlocal last
            last = event
            await emit(event)

        await self._answer(question, self._tools, note)
        if not isinstance(last, Answer):
            raise ModelFailed("The answer broke off.")
        return completion_body(head, last, show_reasoning=question.show_reasoning)

    async def search(self, request: SearchRequest) -> Response:
        """Read the web for a query, without a model's answer."""
        question = search_question(request)
        self._admit(question)
        return Running(partial(self._look_up, request, question), self._door, self._limits)

    async def _look_up(self, request: SearchRequest, question: Question, emit: Emit) -> Json:
        # In a thread: it may have to detect the language.
        plan = await anyio.to_thread.run_sync(planning.given, question, request.queries, request.language)
        reading = await self._read(
            question,
            plan,
            self._tools,
            emit,
            pages=request.pages or self._settings.pages,
            context_chars=request.max_chars,
        )
        return search_body(f"search-{uuid.uuid4().hex}", reading)

    def _admit(self, question: Question) -> None:
        """Refuse at the door when there is no place."""
        self._door.refuse_when_full()
        if self._settings.log_queries:
            log.info("asked %r", question.messages[-1].content)

    async def models(self) -> Json:
        """List what may be asked for, whether or not the model behind it is up."""
        tokens = await self._context_tokens()
        return {"object": "list", "data": [self._listed(offer, tokens) for offer in OFFERS]}

    async def model(self, model: str) -> Json:
        """Tell of one model id."""
        return self._listed(find_offer(model), await self._context_tokens())

    async def _context_tokens(self) -> int | None:
        with anyio.move_on_after(INFO_SECONDS), suppress(AgentError):
            return (await self._tools.model.info()).context_tokens
        return None

    def _listed(self, offer: Offer, tokens: int | None) -> Json:
        listed = {"id": offer.id, "object": "model", "created": self._started, "owned_by": "wellread"}
        length = {} if tokens is None else {"context_length": tokens, "max_model_len": tokens}
        return listed | {"name": offer.name} | length

    async def health(self) -> Json:
        """Tell that the process lives."""
        return {"status": "ok"}

    async def ready(self) -> Response:
        """Tell whether an answer could be given now, and if not, why."""
        checks = await self._tools.check()
        ready = all(state == "ok" for state in checks.values())
        engines = self._tools.engine_health()
        body = {"status": "ready" if ready else "not ready", "checks": checks, "engines": engines}
        return Response(dump(body), 200 if ready else 503, media_type="application/json")

    async def version(self) -> Json:
        """Tell which release runs."""
        return {"name": "wellread", "version": VERSION}


# ---- the command


class Listener(uvicorn.Server):
    """A uvicorn server that says where it listens, and leaves by returning: the caller still has tools to close."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and print the address in one line."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            _say(f"Wellread listens on http://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End running answers with an error that says why, then stop."""
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


async def serve(settings: Settings, opened: Opener = open_tools, answer: Answerer = pipeline.answer) -> None:
    """Open the tools and serve until a signal; running streams end with it. Raises BadSettings or WeightsError."""
    async with opened(settings) as tools:
        app = create_app(settings, tools, answer=answer)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        await Listener(config, app.state.door).serve()


async def doctor(settings: Settings, opened: Opener = open_tools) -> int:
    """Open the tools, check each and say what is wrong; 1 when something is."""
    async with opened(settings) as tools:
        checks = await tools.check(live=True)
        engines = tools.engine_health()
        folder = await files_searched(settings)
    for name, state in checks.items():
        _say(f"{name}: {state}")
    for name, state in engines.items():
        _say(f"engine {name}: {state}")
    if folder:
        _say(folder)
    return int(any(state != "ok" for state in checks.values()))


def describe_model(settings: Settings) -> str:
    """Say which model would run here and why."""
    offers = ", ".join(offer.id for offer in OFFERS)
    if settings.model_url:
        name = settings.model_name or "the first model listed"
        which = f"{name} at {settings.model_url}, because WELLREAD_MODEL_URL is set"
    elif settings.model_name == "echo":
        which = "echo, which only repeats its sources, because WELLREAD_MODEL_NAME says so"
    else:
        which = f"the embedded {settings.embedded_model} model, because WELLREAD_MODEL_URL is not set"
        which += f"; its weights are kept in {settings.models_dir}"
    return f"Runs {which}.\nOffered to clients: {offers}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `wellread` command; returns its exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen)
    except (BadSettings, WeightsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("wellread", description="Reads the web before it answers.")
    parser.add_argument("--version", action="version", version=f"wellread {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve the OpenAI API; set up by WELLREAD_ variables")
    serving.add_argument("--host", help="address to listen on, instead of WELLREAD_HOST")
    serving.add_argument("--port", type=int, help="port to listen on, instead of WELLREAD_PORT; 0 takes a free one")
    commands.add_parser("models", help="say which model would run here, and why")
    commands.add_parser("doctor", help="check the model and the search; say what is wrong")
    asking = commands.add_parser("ask", help="ask a running server and print its answer as it comes")
    asking.add_argument("question", nargs="?", help="what to ask; a replay has its own")
    asking.add_argument("--url", default="http://127.0.0.1:8000", help="address of the server (%(default)s)")
    asking.add_argument("--key", help="API key of the server")
    asking.add_argument("--model", default="wellread", help="model id (%(default)s)")
    kept = asking.add_mutually_exclusive_group()
    kept.add_argument("--record", type=Path, metavar="ZIP", help="answer without a server; keep searches and pages")
    kept.add_argument("--replay", type=Path, metavar="ZIP", help="answer a recording's question without network")
    asking.add_argument("--context", action="store_true", help="with these two: print only what the model is given")
    return parser


def _run(chosen: argparse.Namespace) -> int:
    if chosen.command == "ask":
        return _ask(chosen)
    given = {name: getattr(chosen, name, None) for name in ("host", "port")}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    if chosen.command == "models":
        _say(describe_model(settings))
        return 0
    _log_to_stderr(settings.log_level.upper())
    # A stop while weights are still loading unwinds what is open, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if chosen.command == "doctor":
        return asyncio.run(doctor(settings))
    asyncio.run(serve(settings))
    return 0


def _ask(chosen: argparse.Namespace) -> int:
    if chosen.replay and chosen.question:
        raise BadSettings("A replay asks the question of its recording: leave yours out.")
    if not chosen.replay and not (chosen.question or "").strip():
        raise BadSettings("Say what to ask.")
    if chosen.context and not (chosen.record or chosen.replay):
        raise BadSettings("--context goes with --record or --replay.")
    if not (chosen.record or chosen.replay):
        return ask(chosen.question, chosen.url, chosen.key, chosen.model, sys.stdout)
    settings = load_settings()
    _log_to_stderr("WARNING")
    screen = Screen(sys.stdout, context_only=chosen.context)
    if chosen.replay:
        return asyncio.run(replay(settings, open_tools, chosen.replay, screen))
    return asyncio.run(record(settings, open_tools, chosen.record, chosen.question, chosen.model, screen))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(_add_request_id)
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s", handlers=[handler]
    )
    # One line a request is ours; libraries would add theirs, with the addresses asked.
    for noisy in ("httpx2", "httpcore2", "uvicorn.error", "bm25s", "ddgs", "faiss.loader"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


if __name__ == "__main__":
    sys.exit(main())
