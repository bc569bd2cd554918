"""Makes the coverage record of a reading. Pure."""

from collections.abc import Sequence

from agent.types import Context, Coverage, PageRecord, Plan
from retrieval.rank import Ranking
from retrieval.read import Outcome, ReadPages
from retrieval.search import Found
from retrieval.types import Skipped


def coverage(
    plan: Plan, found: Sequence[Found], read: Sequence[ReadPages], ranking: Ranking, context: Context
) -> Coverage:
    """Count what the rounds found, asked, read and used, and note what stages had to do without."""
    outcomes = [outcome for pages in read for outcome in pages.outcomes]
    return Coverage(
        found=len({hit.url for each in found for hit in each.hits}),
        asked=len(outcomes),
        read=sum(len(pages.documents) for pages in read),
        used=len({source.document.url for source in context.sources}),
        pages=tuple(page_record(outcome) for outcome in outcomes),
        engines=found[-1].engines,
        rounds=len(read),
        deadline_hit=any(pages.deadline_hit for pages in read),
        notes=tuple(note for note in (plan.note, ranking.note) if note),
    )


def page_record(outcome: Outcome) -> PageRecord:
    """Tell what became of one page."""
    if isinstance(outcome, Skipped):
        return PageRecord(outcome.url, "skipped", outcome.reason.value, outcome.ms, outcome.bytes, 0)
    return PageRecord(outcome.url, "read", None, outcome.ms, outcome.bytes, len(outcome.text), outcome.cached)
