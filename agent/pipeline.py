"""From a question to a cited answer, on one page: plan, search, fetch, extract, chunk, rank, pack, reason, cite.

The stages know nothing of each other; this file is where they meet. What happens on the way goes to `emit`, in order;
the last event of `answer()` is an Answer, or it raises an AgentError.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread

from agent import answering, progress
from agent import plan as planning
from agent.coverage import coverage
from agent.errors import SearchUnavailable
from agent.fit import fitting_chars
from agent.pack import pack
from agent.reason import Emit
from agent.settings import EFFORTS
from agent.tools import Tools
from agent.types import Plan, Progress, Question, Reading, Timings
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

PROGRESS_EVERY = 10
AHEAD_PAUSE_SECONDS = 0.05


async def check(question: Question, tools: Tools) -> None:
    """Refuse what could not be answered, before any work. Raises ModelUnavailable or ContextOverflow."""
    await tools.model.info()
    if question.search:
        await answering.room_for(question, await _given(question), tools.model)


async def answer(question: Question, tools: Tools, emit: Emit) -> None:
    """Answer a question; the last event is an Answer. Raises AgentError."""
    start = anyio.current_time()
    if not question.search:
        await emit(await answering.talk(question, tools, emit, start))
        return
    await answer_from(await read(question, tools, emit), question, tools, emit, start)


async def answer_from(
    reading: Reading, question: Question, tools: Tools, emit: Emit, start: float | None = None
) -> None:
    """Answer a question from what was read for it; the last event is an Answer. Raises AgentError.

    `start`: when work on the question began, by anyio's clock (default: now).
    """
    if not reading.context.sources:
        await emit(await answering.unasked(progress.nothing_read(reading), reading, emit))
    elif reading.unrelated and not (await tools.model.info()).native_thinking:
        # A small model does not see that its sources are beside the question, and cites them all the same.
        await emit(await answering.unasked(progress.unrelated(reading), reading, emit))
    else:
        start = anyio.current_time() if start is None else start
        until = answering.thinking_until(start, question, await tools.model.info())
        await emit(await answering.from_sources(question, reading, tools, emit, until))


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
    room = None if context_chars else await answering.room_for(question, plan, tools.model)
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


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
