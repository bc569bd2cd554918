"""From what was read to an answer: room for sources, the prompt, thinking within its time, and what is said at the end.

Knows nothing of how the sources were found.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from agent import again, budget, progress, prompts
from agent.again import Asking
from agent.cite import CitationReader, cited_all
from agent.errors import ContextOverflow
from agent.fit import Room
from agent.grounding import Grounding, closing, ground
from agent.language_watch import asks_for_another
from agent.links import ADDRESS, LinkReader
from agent.pack import of_best_pages, pack
from agent.reason import Emit, Model, ModelInfo, Prompt, Reasoned
from agent.settings import EFFORTS, Settings
from agent.support import Evidence
from agent.tools import Tools
from agent.types import Answer, Context, Message, Plan, Progress, Question, Reading, Text, Usage
from retrieval.computing import computed, proven
from retrieval.language import detect

log = logging.getLogger(__name__)

# A title and one passage.
LEAST_SOURCE_TOKENS = 250
# Where the model's server counts more tokens than were reckoned: how much of the sources stays, and how often.
TRIM_SHARE, MOST_TRIMS = 0.7, 3
# Of the time for an answer, what may pass until its thinking ends; the rest is for writing it.
THINKING_TIME_SHARE = 0.75
DRIFTED = "the model drifted into another language and was asked again"


async def room_for(question: Question, plan: Plan, model: Model) -> Room:
    """Return what the model takes of sources beside the conversation. Raises ContextOverflow or ModelUnavailable."""
    info = await model.info()
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


async def from_sources(
    question: Question,
    reading: Reading,
    tools: Tools,
    emit: Emit,
    until: float,
    trims: int = MOST_TRIMS,
    evidence: Evidence | None = None,
) -> Answer:
    """Let the model think and answer over the sources; over fewer where its own count finds them too many."""
    grounding = None
    if not _any_language(question):
        grounding = await proven(ground, question, reading, tools.embedder, evidence)
        reading = replace(reading, context=replace(reading.context, disagreements=grounding.disagreements))
    await emit(Progress(progress.packed(reading), reading=reading))
    info = await tools.model.info()
    marks = _marks(question, reading, grounding, tools.settings)
    prompt = _prompt(_messages(question, reading.plan, reading.context, info), question, info)
    try:
        said = await again.said(prompt, _asking(question, reading.plan.language, tools, marks, emit, until))
    except ContextOverflow:
        fewer = _trimmed(question, reading)
        if not trims or not fewer.context.sources:
            raise
        evidence = grounding.evidence if grounding else None
        return await from_sources(question, fewer, tools, emit, until, trims - 1, evidence)
    late = reading.coverage.deadline_hit or said.out_of_time
    notes = (*reading.coverage.notes, *([DRIFTED] if said.drifts else []))
    # Behind a stop string or a limit of the client's no words are added.
    if grounding and marks.text and said.reason == "stop" and not question.stop:
        await _say(await proven(closing, marks, grounding, reading), emit)
    record = replace(reading.coverage, cited=len(marks.cited), deadline_hit=late, notes=notes)
    made = await _answer(said, marks, question, reading.plan.language, emit)
    cited = cited_all(reading.context.sources) if question.form else made.cited
    return replace(made, coverage=record, usage=reading.plan.usage + said.usage, cited=cited)


async def _say(text: str, emit: Emit) -> None:
    if text:
        await emit(Text(text))


def _marks(question: Question, reading: Reading, grounding: Grounding | None, settings: Settings) -> CitationReader:
    sources = reading.context.sources
    style = None if question.form else question.citation_style
    links = LinkReader(_linked(question, reading), reading.plan.language)
    if grounding is None:
        return CitationReader(sources, style, links=links)
    return CitationReader(sources, style, grounding.proof, settings.unsupported, settings.add_citations == "on", links)


def _linked(question: Question, reading: Reading) -> Iterator[str]:
    """List what an answer may link to: the pages that were read for it, and what the user named."""
    yield from (row.passage.document.url for row in reading.ranked)
    yield from (source.document.url for source in reading.context.sources)
    for message in question.messages:
        if message.role == "user":
            yield from ADDRESS.findall(message.content)


def _asking(question: Question, language: str, tools: Tools, marks: CitationReader, emit: Emit, until: float) -> Asking:
    """Put together what a run of the model needs; one whose language is not sure is not watched."""
    limited = question.max_total_tokens is not None
    return Asking(
        tools.model, marks, emit, question.stop, until, None if _any_language(question) else language, limited
    )


def _any_language(question: Question) -> bool:
    """Tell whether an answer is in a form of its own, or may have to be in another language than its question."""
    return question.brief or question.form is not None or asks_for_another(question.messages[-1].content)


def thinking_until(start: float, question: Question, info: ModelInfo) -> float:
    """Return when thinking ends. A slow model's thoughts are short: it has all the time, unless the client says."""
    usual = EFFORTS[question.effort].seconds if info.patience is None else math.inf
    return start + THINKING_TIME_SHARE * (usual if question.max_seconds is None else question.max_seconds)


def _trimmed(question: Question, reading: Reading) -> Reading:
    """Return the reading with its less likely passages left out of the context."""
    ranked = of_best_pages(reading.ranked, question.max_sources)
    context = pack(ranked, int(len(reading.context.text) * TRIM_SHARE))
    sources = len(context.sources)
    log.warning("the model finds %d sources too many, and gets %d", len(reading.context.sources), sources)
    return replace(reading, context=context, coverage=replace(reading.coverage, used=sources))


async def talk(question: Question, tools: Tools, emit: Emit, start: float) -> Answer:
    """Answer from the model alone."""
    info = await tools.model.info()
    # Asked to think first, a small model greets in its thoughts and rambles in its answer.
    question = replace(question, think=question.think and not info.small)
    style = None if question.form else question.citation_style
    marks, until = CitationReader((), style), thinking_until(start, question, info)
    # In a thread: it may have to load what detects languages.
    language = await computed(detect, question.messages[-1].content)
    asking = _asking(question, language, tools, marks, emit, until)
    said = await again.said(_prompt(prompts.talk(question), question, info), asking)
    return await _answer(said, marks, question, language, emit)


async def unasked(text: str, question: Question, reading: Reading, emit: Emit) -> Answer:
    """Answer without asking the model, which could only invent; in a form that holds no such words, refuse."""
    if question.form:
        return Answer("", "", (), (), Usage(), "stop", reading.coverage, refusal=text)
    await emit(Text(text))
    return Answer(text, "", (), (), Usage(), "stop", reading.coverage)


def _messages(question: Question, plan: Plan, context: Context, info: ModelInfo) -> tuple[Message, ...]:
    if info.small:
        return prompts.small(context, question, plan.question, plan.language)
    return prompts.answer(context, question, plan.language, datetime.now(UTC).date().isoformat())


def _prompt(messages: tuple[Message, ...], question: Question, info: ModelInfo) -> Prompt:
    thinking, written = budget.writing(question, EFFORTS[question.effort], info)
    return Prompt(messages, thinking, written, question.sampling, question.form.schema if question.form else None)


async def _answer(said: Reasoned, marks: CitationReader, question: Question, language: str, emit: Emit) -> Answer:
    text = marks.text
    # A client whose own limit or stop string ended it reads that from finish_reason, and gets no words beyond it.
    limited = said.reason == "length" and question.max_total_tokens is not None
    listed = marks.annotations[: question.max_annotations]
    if question.form:
        return Answer(text, said.reasoning, (), (), said.usage, said.reason, None)
    if not text and not question.stop and not limited:
        log.warning("the model wrote no answer after %d characters of thoughts", len(said.reasoning))
        text = progress.unwritten(language)
        await emit(Text(text))
    elif said.out_of_time:
        note = progress.out_of_time(language)
        text += note
        await emit(Text(note))
    return Answer(
        text,
        said.reasoning,
        tuple(listed),
        tuple(marks.cited.values()),
        said.usage,
        said.reason,
        None,
        checked=tuple(marks.checked),
        links_removed=marks.links.removed if marks.links else 0,
    )
