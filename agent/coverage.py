"""Makes the coverage record of a reading. Pure."""

from agent.types import Context, Coverage, PageRecord, Plan
from retrieval.rank import Ranking
from retrieval.read import Outcome, ReadPages
from retrieval.search import Found
from retrieval.types import Skipped


def coverage(plan: Plan, found: Found, pages: ReadPages, ranking: Ranking, context: Context) -> Coverage:
    """Count what was found, asked, read and used, and note what stages had to do without."""
    return Coverage(
        found=len(found.hits),
        asked=len(pages.outcomes),
        read=len(pages.documents),
        used=len(context.sources),
        pages=tuple(_record(outcome) for outcome in pages.outcomes),
        engines=found.engines,
        rounds=1,
        deadline_hit=pages.deadline_hit,
        notes=tuple(note for note in (plan.note, ranking.note) if note),
    )


def _record(outcome: Outcome) -> PageRecord:
    if isinstance(outcome, Skipped):
        return PageRecord(outcome.url, "skipped", outcome.reason.value, outcome.ms, outcome.bytes, 0)
    return PageRecord(outcome.url, "read", None, outcome.ms, outcome.bytes, len(outcome.text), outcome.cached)
