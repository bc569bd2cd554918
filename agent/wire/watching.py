"""What a run tells on its way to those who watch it: the same in a stream and in the record of the run. Pure."""

from agent.types import PageOutcome, Progress
from agent.wire.sse import Json


def watch_body(progress: Progress) -> Json:
    """Tell of one step; only what it has to tell."""
    body: Json = {"line": progress.text.strip()} if progress.text.strip() else {}
    if progress.searching:
        body["searching"] = list(progress.searching)
    if progress.found:
        body["found"] = list(progress.found)
    if progress.page:
        body["page"] = _page(progress.page)
    if progress.reading:
        sources = progress.reading.context.sources
        body["sources"] = list(dict.fromkeys(source.document.url for source in sources))
    return body


def _page(page: PageOutcome) -> Json:
    record = page.record
    return {
        "asked": page.asked,
        "url": record.url,
        "title": page.title,
        "status": record.status,
        "reason": record.reason,
        "ms": record.ms,
        "bytes": record.bytes,
        "cached": record.cached,
    }
