"""GET /v1/runs/{id}: the record of one run, as JSON. Pure."""

from agent.runs import Run, Step
from agent.types import CheckedMark, Context, Plan, Reading, Source
from agent.wire.coverage_record import coverage_body
from agent.wire.refusals import error_body
from agent.wire.search_api import timings_body
from agent.wire.sources import usage_body
from agent.wire.sse import Json, dump
from agent.wire.watching import watch_body
from retrieval.types import Query, Ranked

# Of the ranked passages the first so many are told: half of what a ranking gives at most.
MOST_PASSAGES = 100


def run_record(run: Run) -> bytes:
    """Write the record of a run."""
    return dump(run_body(run))


def run_body(run: Run) -> Json:
    """Tell of a run as far as it came; what it did not come to is null or empty."""
    reading, answer = run.reading, run.answer
    plan = reading.plan if reading else run.plan
    coverage = (answer.coverage if answer else None) or (reading.coverage if reading else None)
    return {
        "id": run.id,
        "object": "run",
        "status": run.status,
        "began": round(run.began, 3),
        "took_ms": round(run.seconds * 1000),
        "steps": [_step(step) for step in run.steps],
        "error": error_body(run.error)["error"] if run.error else None,
        "plan": _plan(plan, reading) if plan else None,
        "coverage": coverage_body(coverage) if coverage else None,
        "ranked": len(reading.ranked) if reading else 0,
        "passages": [_passage(row) for row in reading.ranked[:MOST_PASSAGES]] if reading else [],
        "unrelated": reading.unrelated if reading else False,
        "context": _context(reading.context) if reading else None,
        "marks": [_mark(mark) for mark in answer.checked] if answer else [],
        "timings_ms": timings_body(reading.timings) if reading else None,
        "usage": usage_body(answer.usage) if answer else None,
        "finish_reason": answer.finish_reason if answer else None,
    }


def _step(step: Step) -> Json:
    told = {"begins": step.told} if isinstance(step.told, str) else watch_body(step.told)
    return {"at_ms": round(step.seconds * 1000), **told}


def _plan(plan: Plan, reading: Reading | None) -> Json:
    """Write a plan, the queries of later rounds apart; until the reading has ended they are among the further ones."""
    later = reading.again if reading else ()
    first = len(plan.further) - sum(map(len, later))
    return {
        "question": plan.question,
        "language": plan.language,
        "queries": [_query(query) for query in plan.queries],
        "further": [_query(query) for query in plan.further[:first]],
        "later_rounds": [[_query(query) for query in queries] for queries in later],
        "addresses": list(plan.addresses),
        "note": plan.note,
    }


def _query(query: Query) -> Json:
    return {"text": query.text, "language": query.language, "recency": query.filters.recency}


def _passage(row: Ranked) -> Json:
    passage, document = row.passage, row.passage.document
    return {
        "url": document.url,
        "title": document.title,
        "date": document.date,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "score": float(row.score),
        "words": float(row.words),
        "vectors": None if row.vectors is None else float(row.vectors),
    }


def _context(context: Context) -> Json:
    return {
        "text": context.text,
        "sources": [_source(source) for source in context.sources],
        "dropped": context.dropped,
    }


def _source(source: Source) -> Json:
    """Write which pieces of a page the context holds; their text is in it."""
    return {
        "number": source.number,
        "url": source.document.url,
        "title": source.document.title,
        "date": source.document.date,
        "passages": [{"start": row.passage.start, "end": row.passage.end} for row in source.passages],
    }


def _mark(mark: CheckedMark) -> Json:
    return {
        "claim": mark.claim,
        "written": mark.written,
        "url": mark.url,
        "start": mark.start,
        "support": mark.support,
        "quote": mark.quote,
    }
