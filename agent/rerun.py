"""Answers one question in this process: recorded, or replayed from a recording without network.

Shows what `agent.ask` would. A replay runs with the question, queries, effort, number of pages and length of context of
the recorded run, and says whether the context is byte for byte the recorded one; model and embedder are those of the
settings.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr, TypeAdapter, ValidationError

from agent import pipeline
from agent import plan as planning
from agent.build import embedder_name
from agent.errors import AgentError, BadRequest
from agent.settings import Settings
from agent.terminal.printer import Printer
from agent.tools import Tools
from agent.types import Effort, Event, Message, Plan, Progress, Question, Reading, Usage
from agent.wire.chat_reply import Chunks, Head
from agent.wire.offers import find_offer
from retrieval.errors import RecordingError
from retrieval.limits import RecordingLimits
from retrieval.recording import Recorder, Replay
from retrieval.types import Query, SkipReason

Opener = Callable[[Settings], AbstractAsyncContextManager[Tools]]

RUN, CONTEXT = "run.json", "context.txt"
# A replay waits for nothing but cleaning, however slow the machine is.
REPLAY_READ_SECONDS = 120.0
# A recording keeps pages as they came, and a memory gives them cleaned.
NOT_FROM_MEMORY = {"memory": SecretStr("off")}


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked, and what the context depends on besides the web and the embedder."""

    question: str
    effort: Effort
    pages: int
    plan: Plan
    again: tuple[tuple[Query, ...], ...]
    context_chars: int
    embedder: str


class Screen:
    """Where a run is shown: all of it as `wellread ask` shows it, or its context alone."""

    def __init__(self, printer: Printer, *, context_only: bool = False) -> None:
        self.context_only = context_only
        self._printer = printer
        self._chunks = Chunks(Head("ask", 0, "wellread", "wellread"))

    async def emit(self, event: Event) -> None:
        """Show what happens."""
        if self.context_only:
            return
        for chunk in [self._chunks.step(event)] if isinstance(event, Progress) else self._chunks.event(event):
            self._printer.take(chunk)

    def end(self) -> None:
        """Show sources and coverage."""
        self._printer.end()

    def fail(self, message: str) -> None:
        """Show what went wrong."""
        self._printer.fail(message)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._printer.close()

    def context(self, text: str) -> None:
        """Show a context; to a file it goes as it is, a terminal is spared its control characters."""
        self._printer.paper.put_as_it_is(text)

    def line(self, text: str) -> None:
        """Show one line."""
        self._printer.paper.line(text)


async def record(settings: Settings, opened: Opener, path: Path, text: str, model: str, screen: Screen) -> int:
    """Answer a question and keep its searches and pages in a zip at `path`; 1 when it fails."""

    async def work() -> None:
        question = _question(text, model, settings)
        async with Recorder(path) as recorder, opened(settings.model_copy(update=NOT_FROM_MEMORY)) as tools:
            engines = [recorder.engine(engine) for engine in tools.engines]
            wrapped = replace(tools, engines=engines, fetcher=recorder.fetcher(tools.fetcher))
            plan = await planning.plan(question, tools.model)
            reading = await pipeline.read(question, plan, wrapped, screen.emit)
            await _keep(reading, question, settings, recorder)
            await _finish(reading, question, wrapped, screen)

    return await _reported(work, screen)


async def replay(settings: Settings, opened: Opener, path: Path, screen: Screen) -> int:
    """Answer the question of a recording from what it holds; 1 when it fails."""

    async def work() -> None:
        async with Replay(path, RecordingLimits()) as recording:
            run = await _run_of(recording, path)
            # Without engines of its own: a replay opens nothing that could reach the network.
            # Without a cache: the recording alone says what the web said.
            given = {"search": (), "pages": run.pages, "read_seconds": REPLAY_READ_SECONDS, "cache": SecretStr("off")}
            given |= NOT_FROM_MEMORY
            async with opened(settings.model_copy(update=given)) as tools:
                replayed = replace(tools, engines=recording.engines, fetcher=recording)
                asked = (Message("user", run.question),)
                question = Question(asked, run.effort, exact=True, citation_style=settings.citation_style)
                reading = await _read_again(run, question, replayed, screen)
                await _finish(reading, question, replayed, screen)
            if not screen.context_only:
                screen.line(_compared(reading, await recording.member(CONTEXT), run, settings))

    return await _reported(work, screen)


async def _reported(work: Callable[[], Awaitable[None]], screen: Screen) -> int:
    """Do the work, and show the error that ended it. Raises BrokenPipeError when nobody looks any more."""
    failed = unseen = False
    try:
        await work()
    except* (AgentError, RecordingError) as group:
        failed = True
        screen.fail(str(_first(group)))
    except* BrokenPipeError:
        unseen = True
    finally:
        screen.close()
    if unseen:
        raise BrokenPipeError
    return int(failed)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _question(text: str, model: str, settings: Settings) -> Question:
    offer = find_offer(model)
    if not offer.search:
        raise BadRequest(f"{model} searches nothing, so there is nothing to record.", "model")
    return Question((Message("user", text),), offer.effort or settings.effort, citation_style=settings.citation_style)


async def _keep(reading: Reading, question: Question, settings: Settings, recorder: Recorder) -> None:
    """Add to a recording what a replay needs besides the web."""
    recorder.settle({page.url: SkipReason(page.reason) for page in reading.coverage.pages if page.reason})
    first = len(reading.plan.further) - sum(len(queries) for queries in reading.again)
    run = Run(
        question=question.messages[-1].content,
        effort=question.effort,
        pages=settings.pages,
        plan=replace(reading.plan, further=reading.plan.further[:first], usage=Usage()),
        again=reading.again,
        context_chars=reading.context_chars,
        embedder=embedder_name(settings),
    )
    await recorder.add(RUN, TypeAdapter(Run).dump_json(run, indent=1))
    await recorder.add(CONTEXT, reading.context.text.encode("utf-8", "replace"))


async def _run_of(recording: Replay, path: Path) -> Run:
    try:
        return TypeAdapter(Run).validate_json(await recording.member(RUN))
    except ValidationError as error:
        raise RecordingError(f"{path} has no sound {RUN}") from error


async def _read_again(run: Run, question: Question, tools: Tools, screen: Screen) -> Reading:
    return await pipeline.read(question, run.plan, tools, screen.emit, context_chars=run.context_chars, again=run.again)


async def _finish(reading: Reading, question: Question, tools: Tools, screen: Screen) -> None:
    if screen.context_only:
        screen.context(reading.context.text)
        return
    await pipeline.answer_from(reading, question, tools, screen.emit)
    screen.end()


def _compared(reading: Reading, recorded: bytes, run: Run, settings: Settings) -> str:
    """Say whether the context is the recorded one."""
    if reading.context.text.encode("utf-8", "replace") == recorded:
        return "The context is byte for byte the recorded one."
    ranked = embedder_name(settings)
    why = "" if ranked == run.embedder else f" It was ranked by {run.embedder} then and by {ranked} now."
    return f"The context differs from the recorded one.{why}"
