"""From a question to a cited answer, on one page: plan, rounds of searching and reading, pack, reason, cite.

The stages know nothing of each other; this file is where they meet. What happens on the way goes to `emit`, in order;
the last event of `answer()` is an Answer, or it raises an AgentError.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import anyio

from agent import answering, progress
from agent import plan as planning
from agent.coverage import coverage
from agent.fit import fitting_chars
from agent.gaps import gaps
from agent.pack import of_best_pages, pack
from agent.reason import Emit
from agent.rounds import Rounds
from agent.settings import EFFORTS
from agent.tools import Tools
from agent.types import Context, Plan, Progress, Question, Reading, Timings
from retrieval.computing import computed
from retrieval.limits import FetchLimits
from retrieval.types import Query

# Of the time for an answer, what may pass until the last round begins.
ROUND_TIME_SHARE = 0.35


async def check(question: Question, tools: Tools) -> None:
    """Refuse what could not be answered, before any work. Raises ModelUnavailable or ContextOverflow."""
    await tools.model.info()
    if question.search:
        plan = await computed(planning.unaided, question)
        await answering.room_for(question, plan, tools.model)


async def answer(question: Question, tools: Tools, emit: Emit) -> None:
    """Answer a question; the last event is an Answer. Raises AgentError."""
    start = anyio.current_time()
    if not question.search:
        await emit(await answering.talk(question, tools, emit, start))
        return
    plan = await planning.plan(question, tools.model)
    if not plan.search:
        made = await answering.talk(question, tools, emit, start)
        await emit(replace(made, usage=plan.usage + made.usage))
        return
    reading = await read(question, plan, tools, emit)
    tools.earlier.keep(question, reading.context)
    await answer_from(reading, question, tools, emit, start)


async def answer_from(
    reading: Reading, question: Question, tools: Tools, emit: Emit, start: float | None = None
) -> None:
    """Answer a question from what was read for it; the last event is an Answer. Raises AgentError.

    `start`: when work on the question began, by anyio's clock (default: now).
    """
    if not reading.context.sources:
        await emit(await answering.unasked(progress.nothing_read(reading), question, reading, emit))
    elif reading.unrelated and (await tools.model.info()).small:
        # A small model does not see that its sources are beside the question, and cites them all the same.
        await emit(await answering.unasked(progress.unrelated(reading), question, reading, emit))
    else:
        start = anyio.current_time() if start is None else start
        until = answering.thinking_until(start, question, await tools.model.info())
        await emit(await answering.from_sources(question, reading, tools, emit, until))


async def read(
    question: Question,
    plan: Plan,
    tools: Tools,
    emit: Emit,
    *,
    pages: int | None = None,
    context_chars: int = 0,
    again: Sequence[Sequence[Query]] | None = None,
) -> Reading:
    """Search, read, rank and pack: all that comes between the plan and the answer. Raises SearchUnavailable.

    `context_chars` is the length of the context (0: what the model takes). `again` are the queries of the rounds after
    the first; None: the model is asked for them, or names in what was read are taken.
    """
    start = time.monotonic()
    effort = EFFORTS[question.effort]
    until = anyio.current_time() + ROUND_TIME_SHARE * (question.max_seconds or effort.seconds)
    room = None if context_chars else await answering.room_for(question, plan, tools.model)
    earlier = tools.earlier.of(question)
    known = [source.document for source in earlier]
    rounds = Rounds(question, plan, _fetch_limits(question, tools, pages), tools, emit, known)
    await rounds.first()
    await _fill_gaps(rounds, 1 if question.exact else effort.rounds, until, again)
    rounds.remember()
    packing = time.monotonic()
    passages = of_best_pages(rounds.ranking.passages, question.max_sources)
    if room is not None:
        context_chars = await fitting_chars(passages, room, earlier)
    context = pack(passages, context_chars, earlier)
    return await _reading(rounds, context, context_chars, start, packing)


async def _fill_gaps(rounds: Rounds, most: int, until: float, again: Sequence[Sequence[Query]] | None) -> None:
    """Read in further rounds, `most` in all, until nothing is missing or the time (of anyio's clock) is over."""
    for queries in again or ():
        await rounds.another(queries, "")
    while again is None and len(rounds.read) < most and anyio.current_time() < until:
        lack = await gaps(rounds.plan, rounds.ranking.passages, rounds.tools.model)
        rounds.plan = replace(rounds.plan, usage=rounds.plan.usage + lack.usage)
        if not lack.queries:
            return
        await rounds.another(lack.queries, lack.missing)


async def _reading(rounds: Rounds, context: Context, context_chars: int, start: float, packing: float) -> Reading:
    record = coverage(rounds.plan, rounds.found, rounds.read, rounds.ranking, context)
    done = time.monotonic()
    timings = Timings(
        search=_ms(rounds.search_seconds),
        fetch=sum(pages.fetch_ms for pages in rounds.read),
        extract=sum(pages.extract_ms for pages in rounds.read),
        rank=_ms(rounds.rank_seconds),
        pack=_ms(done - packing),
        total=_ms(done - start),
    )
    ranking = rounds.ranking
    reading = Reading(
        rounds.plan, ranking.passages, context, record, timings, ranking.unrelated, context_chars, tuple(rounds.again)
    )
    await rounds.emit(Progress(progress.covered(rounds.plan.language, record), reading=reading))
    return reading


def _fetch_limits(question: Question, tools: Tools, pages: int | None) -> FetchLimits:
    effort = EFFORTS[question.effort]
    seconds = tools.settings.read_seconds * effort.read_factor
    return replace(tools.fetch_limits, wanted=pages or min(tools.settings.pages, effort.pages), total_seconds=seconds)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
