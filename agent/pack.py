"""Packs ranked passages into numbered sources within a budget of characters. Pure.

Sources are numbered by their best passage; the passages of one page stand together in the order of the page. Page text
is data: whatever could pass for our delimiters or for a model's control tokens is defused.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from agent.types import Context, Source
from retrieval.types import Ranked

# Control tokens of chat templates, think tags, and our own delimiters, as page text may imitate them.
CONTROL = re.compile(r"<(?=[|｜/]?\s*(?:think|im_start|im_end|begin|end|User|Assistant|tool|[|｜]))", re.IGNORECASE)
DELIMITER = re.compile(r"\[(?=\s*(?:webpage\s+\d+\s+(?:begin|end)|citation\s*:))", re.IGNORECASE)
GAP = "\n[…]\n"


def pack(
    ranked: Sequence[Ranked], budget_chars: int, earlier: Sequence[Source] = (), max_passages_per_source: int = 16
) -> Context:
    """Take passages in rank order while they fit.

    Of the `earlier` sources those that serve again come first, as they stood: a model's server may have read them.
    """
    chosen: dict[str, list[Ranked]] = {}
    room = budget_chars
    dropped = 0
    for row in ranked:
        url = row.passage.document.url
        passages = chosen.get(url, [])
        cost = len(defused(row.passage.text)) + (len(GAP) if passages else _frame(row))
        if cost <= room and len(passages) < max_passages_per_source:
            chosen.setdefault(url, []).append(row)
            room -= cost
        else:
            dropped += 1
    ordered = _as_before(chosen, earlier, room)
    sources = tuple(
        Source(number, rows[0].passage.document, tuple(rows)) for number, rows in enumerate(ordered.values(), start=1)
    )
    return Context("\n".join(rendered(source) for source in sources), sources, dropped)


def rendered(source: Source) -> str:
    """Return a source as the model sees it, in the published form of R1's search prompt."""
    date = f" ({source.document.date})" if source.document.date else ""
    title = defused(f"{source.document.title}{date}")
    body = _body(source.passages)
    return f"[webpage {source.number} begin]\n{title}\n{body}\n[webpage {source.number} end]"


def defused(text: str) -> str:
    """Make look-alikes of control tokens and delimiters harmless; length and words stay."""
    return DELIMITER.sub("(", CONTROL.sub("‹", text))


def _as_before(chosen: dict[str, list[Ranked]], earlier: Sequence[Source], room: int) -> dict[str, Sequence[Ranked]]:
    """Put sources that bring nothing new first, with all that they held before, as far as there is room."""
    kept: dict[str, Sequence[Ranked]] = {}
    for source in earlier:
        now = {row.passage.text for row in chosen.get(source.document.url, ())}
        before = {row.passage.text: len(defused(row.passage.text)) + len(GAP) for row in source.passages}
        more = sum(cost for text, cost in before.items() if text not in now)
        if now and now <= before.keys() and more <= room:
            kept[source.document.url] = source.passages
            room -= more
    return kept | {url: rows for url, rows in chosen.items() if url not in kept}


def _body(passages: Sequence[Ranked]) -> str:
    rows = sorted((row.passage for row in passages), key=lambda passage: passage.start)
    body = defused(rows[0].text)
    for before, after in pairwise(rows):
        neighbors = not before.document.text[before.end : after.start].strip()
        body += ("\n" if neighbors else GAP) + defused(after.text)
    return body


def _frame(row: Ranked) -> int:
    """Characters that a source costs besides its passages; numbers of up to three digits."""
    date = len(row.passage.document.date or "") + 3
    return len("[webpage 100 begin]\n\n\n[webpage 100 end]\n") + len(defused(row.passage.document.title)) + date
