"""From a question to a cited answer, on one page: plan, search, fetch, extract, chunk, rank, pack, reason, cite.

The stages know nothing of each other; this file is where they meet. What happens on the way goes to `emit`, in order;
the last event of `answer()` is an Answer, or it raises an AgentError.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread

from agent import budget, progress, prompts
from agent import plan as planning
from agent.cite import CitationReader
from agent.coverage import coverage
from agent.errors import ContextOverflow, SearchUnavailable
from agent.fit import Room, fitting_chars
from agent.pack import pack
from agent.reason import Emit, Model, ModelInfo, Prompt, Reasoned, reason
from agent.settings import EFFORTS
from agent.tools import Tools
from agent.types import Answer, Context, Message, Plan, Progress, Question, Reading, Text, Timings, Usage
from retrieval.ahead import Ahead
from retrieval.chunk import chunk
from retrieval.errors import SearchFailed
from retrieval.further import further_queries, search_further
from retrieval.limits import FetchLimits
from retrieval.rank import Ranking, rank
from retrieval.read import OnPage, Outcome, ReadPages, read_pages
from retrieval.rerank import reranked
from retrieval.search import Found, search
from retrieval.types import Document, Hit

log = logging.getLogger(__name__)

PROGRESS_EVERY = 10
AHEAD_PAUSE_SECONDS = 0.05
# A title and one passage.
LEAST_SOURCE_TOKENS = 250
# Where the model's server counts more tokens than were reckoned: how much of the sources stays, and how often.
TRIM_SHARE, MOST_TRIMS = 0.7, 3
# Of the time for an answer, what may pass until its thinking ends; the rest is for writing it.
THINKING_TIME_SHARE = 0.75


async def check(question: Question, tools: Tools) -> None:
    """Refuse what could not be answered, before any work. Raises ModelUnavailable or ContextOverflow."""
    info = await tools.model.info()
    if question.search:
        await _room(question, await _given(question), info, tools.model)


async def answer(question: Question, tools: Tools, emit: Emit) -> None:
    """Answer a question; the last event is an Answer. Raises AgentError."""
    start = anyio.current_time()
    if not question.search:
        await emit(await _talk(question, tools, emit, start))
        return
    await answer_from(await read(question, tools, emit), question, tools, emit, start)


async def answer_from(
    reading: Reading, question: Question, tools: Tools, emit: Emit, start: float | None = None
) -> None:
    """Answer a question from what was read for it; the last event is an Answer. Raises AgentError.

    `start`: when work on the question began, by anyio's clock (default: now).
    """
    if not reading.context.sources:
        await emit(await _unasked(progress.nothing_read(reading), reading, emit))
    elif reading.unrelated and not (await tools.model.info()).native_thinking:
        # A small model does not see that its sources are beside the question, and cites them all the same.
        await emit(await _unasked(progress.unrelated(reading), reading, emit))
    else:
        start = anyio.current_time() if start is None else start
        until = _thinking_until(start, question, await tools.model.info())
        await emit(await _reason(question, reading, tools, emit, until))


async def read(
    question: Question,
    tools: Tools,
    emit: Emit,
    *,
    queries: Sequence[str] = (),
    language: str | None = None,
    pages: int | None = None,
    context_chars: int = 0,
) -> Reading:
    """Plan, search, read, rank and pack: all that comes before the model. Raises SearchUnavailable.

    `queries` are searched instead of a plan's own; `context_chars` is the length of the context (0: what the model
    takes).
    """
    start = time.monotonic()
    plan = await _plan(question, tools, queries, language)
    info = await tools.model.info()
    room = None if context_chars else await _room(question, plan, info, tools.model)
    limits = _fetch_limits(question, tools, pages)
    searching = time.monotonic()
    plan, found = await _found(plan, question, limits.wanted, tools, emit)
    searched = time.monotonic()

    await emit(Progress(progress.found(plan, len(found.hits), limits.wanted)))
    ahead = Ahead(plan.asked, plan.language, limits.wanted, tools.embedder, tools.rank_limits, tools.chunk_limits)
    outcome = await _read_pages(found.hits, limits, ahead, tools, _reporter(plan, ahead, emit))

    ranking_start = time.monotonic()
    ranking = await _rank(ahead, outcome.documents, tools)
    ranked = time.monotonic()
    if room is not None:
        context_chars = await fitting_chars(ranking.passages, room)
    context = pack(ranking.passages, context_chars)
    packed = time.monotonic()

    record = coverage(plan, found, outcome, ranking, context)
    await emit(Progress(progress.covered(plan.language, record)))
    timings = Timings(
        search=_ms(searched - searching),
        fetch=outcome.fetch_ms,
        extract=outcome.extract_ms,
        rank=_ms(ranked - ranking_start),
        pack=_ms(packed - ranked),
        total=_ms(packed - start),
    )
    return Reading(plan, ranking.passages, context, record, timings, ranking.unrelated, context_chars)


async def _plan(question: Question, tools: Tools, queries: Sequence[str], language: str | None) -> Plan:
    if queries or language:
        return await _given(question, queries, language)
    return await planning.plan(question, tools.model)


async def _given(question: Question, queries: Sequence[str] = (), language: str | None = None) -> Plan:
    # In a thread: it may have to detect the language.
    return await anyio.to_thread.run_sync(planning.given, question, queries, language)


async def _found(plan: Plan, question: Question, pages: int, tools: Tools, emit: Emit) -> tuple[Plan, Found]:
    """Search, and search further for what the first results made worth it. Raises SearchUnavailable."""
    await emit(Progress(progress.searching(plan)))
    limits = replace(tools.search_limits, wanted=round(tools.search_limits.wanted_a_page * pages))
    try:
        found = await search(plan.queries, tools.engines, limits)
    except SearchFailed as error:
        raise SearchUnavailable(error.engines) from error
    if question.exact or not EFFORTS[question.effort].further:
        return plan, found
    plan = replace(plan, further=further_queries(plan.queries[0], found.hits, limits, plan.language))
    if plan.further:
        await emit(Progress(progress.searching_further(plan)))
        found = await search_further(found, plan.further, tools.engines, limits)
    return plan, found


def _fetch_limits(question: Question, tools: Tools, pages: int | None) -> FetchLimits:
    effort = EFFORTS[question.effort]
    seconds = tools.settings.read_seconds * effort.read_factor
    return replace(tools.fetch_limits, wanted=pages or min(tools.settings.pages, effort.pages), total_seconds=seconds)


def _reporter(plan: Plan, ahead: Ahead, emit: Emit) -> OnPage:
    async def on_page(read: int, outcome: Outcome) -> None:
        if not isinstance(outcome, Document):
            return
        ahead.add(outcome)
        if read % PROGRESS_EVERY == 0:
            await emit(Progress(progress.reading(plan, read, outcome.title)))

    return on_page


async def _read_pages(
    hits: Sequence[Hit], limits: FetchLimits, ahead: Ahead, tools: Tools, on_page: OnPage
) -> ReadPages:
    """Read the pages, and embed passages of those in hand meanwhile."""
    reading = True

    async def embed() -> None:
        while reading:
            if not await anyio.to_thread.run_sync(ahead.step, limiter=tools.rank_limiter):
                await anyio.sleep(AHEAD_PAUSE_SECONDS)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(embed)
        outcome = await read_pages(hits, tools.fetcher, tools.extractor, limits, on_page)
        reading = False
    return outcome


async def _rank(ahead: Ahead, documents: Sequence[Document], tools: Tools) -> Ranking:
    passages = [passage for document in documents for passage in chunk(document, tools.chunk_limits)]
    ranking = partial(rank, ahead.queries, passages, tools.embedder, tools.rank_limits, ahead.language, ahead.known)
    ranked = await anyio.to_thread.run_sync(ranking, limiter=tools.rank_limiter)
    if tools.reranker is None:
        return ranked
    again = partial(reranked, ahead.queries[0], ranked, tools.reranker, tools.rank_limits)
    return await anyio.to_thread.run_sync(again, limiter=tools.rank_limiter)


async def _room(question: Question, plan: Plan, info: ModelInfo, model: Model) -> Room:
    """Return what the model takes of sources beside the conversation. Raises ContextOverflow."""
    told = await _tokens(_messages(question, plan, Context("", ()), info), plan.language, model)
    tokens = budget.source_tokens(told, question, EFFORTS[question.effort], info)
    if tokens < LEAST_SOURCE_TOKENS:
        raise ContextOverflow(
            f"The conversation leaves no room for sources in the model's window of {info.context_tokens} tokens: "
            "shorten it, or start a new one."
        )

    async def count(context: Context) -> int:
        return await _tokens(_messages(question, plan, context, info), plan.language, model) - told

    return Room(tokens, budget.chars_per_token(plan.language), count)


async def _tokens(messages: tuple[Message, ...], language: str, model: Model) -> int:
    counted = await model.count(messages)
    return budget.estimated(messages, language) if counted is None else counted


async def _reason(
    question: Question, reading: Reading, tools: Tools, emit: Emit, until: float, trims: int = MOST_TRIMS
) -> Answer:
    """Let the model think and answer over the sources; over fewer where its own count finds them too many."""
    await emit(Progress(progress.packed(reading)))
    info = await tools.model.info()
    marks = CitationReader(reading.context.sources, question.citation_style)
    prompt = _prompt(_messages(question, reading.plan, reading.context, info), question, info)
    try:
        said = await _said(prompt, question, tools.model, marks, emit, until)
    except ContextOverflow:
        fewer = _trimmed(reading)
        if not trims or not fewer.context.sources:
            raise
        return await _reason(question, fewer, tools, emit, until, trims - 1)
    late = reading.coverage.deadline_hit or said.out_of_time
    record = replace(reading.coverage, cited=len(marks.order), deadline_hit=late)
    usage = reading.plan.usage + said.usage
    made = await _answer(said, marks, question, reading.plan.language, emit)
    return replace(made, coverage=record, usage=usage)


async def _said(
    prompt: Prompt, question: Question, model: Model, marks: CitationReader, emit: Emit, until: float
) -> Reasoned:
    """Let the model think and answer; where its thinking does not end in an answer, ask for that alone."""
    said = await reason(prompt, model, marks, question.stop, emit, until)
    within_limits = question.max_total_tokens is None or said.out_of_time
    if not said.unfinished or not prompt.thinking_tokens or not within_limits:
        return said
    log.warning(
        "the model thought %d characters long without an answer; it is asked for that alone", len(said.reasoning)
    )
    at_once = replace(prompt, thinking_tokens=0)
    again = await reason(at_once, model, marks, question.stop, emit)
    thoughts, usage = said.reasoning + again.reasoning, said.usage + again.usage
    return replace(again, reasoning=thoughts, usage=usage, out_of_time=said.out_of_time)


def _thinking_until(start: float, question: Question, info: ModelInfo) -> float:
    """Return when thinking ends. A slow model's thoughts are short: it has all the time, unless the client says."""
    usual = EFFORTS[question.effort].seconds if info.patience is None else math.inf
    return start + THINKING_TIME_SHARE * (usual if question.max_seconds is None else question.max_seconds)


def _trimmed(reading: Reading) -> Reading:
    """Return the reading with its less likely passages left out of the context."""
    context = pack(reading.ranked, int(len(reading.context.text) * TRIM_SHARE))
    sources = len(context.sources)
    log.warning("the model finds %d sources too many, and gets %d", len(reading.context.sources), sources)
    return replace(reading, context=context, coverage=replace(reading.coverage, used=sources))


async def _talk(question: Question, tools: Tools, emit: Emit, start: float) -> Answer:
    """Answer from the model alone."""
    info = await tools.model.info()
    marks = CitationReader((), question.citation_style)
    prompt, until = _prompt(question.messages, question, info), _thinking_until(start, question, info)
    said = await _said(prompt, question, tools.model, marks, emit, until)
    return await _answer(said, marks, question, (await _given(question)).language, emit)


async def _unasked(text: str, reading: Reading, emit: Emit) -> Answer:
    """Answer without asking the model, which could only invent."""
    await emit(Text(text))
    return Answer(text, "", (), (), Usage(), "stop", reading.coverage)


def _messages(question: Question, plan: Plan, context: Context, info: ModelInfo) -> tuple[Message, ...]:
    if not info.native_thinking:
        return prompts.small(context, plan.question, plan.language)
    today, history = datetime.now(UTC).date().isoformat(), question.messages[:-1]
    return prompts.answer(context, history, question.messages[-1].content, plan.language, today)


def _prompt(messages: tuple[Message, ...], question: Question, info: ModelInfo) -> Prompt:
    thinking, written = budget.writing(question, EFFORTS[question.effort], info)
    return Prompt(messages, thinking, written, question.sampling)


async def _answer(said: Reasoned, marks: CitationReader, question: Question, language: str, emit: Emit) -> Answer:
    text = marks.text
    # A client whose own limit or stop string ended it reads that from finish_reason, and gets no words beyond it.
    limited = said.reason == "length" and question.max_total_tokens is not None
    if not text and not question.stop and not limited:
        log.warning("the model wrote no answer after %d characters of thoughts", len(said.reasoning))
        text = progress.unwritten(language)
        await emit(Text(text))
    elif said.out_of_time:
        note = progress.out_of_time(language)
        text += note
        await emit(Text(note))
    return Answer(text, said.reasoning, tuple(marks.annotations), marks.cited, said.usage, said.reason, None)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
