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
# What the sources of the turn before may take of the budget.
EARLIER_SHARE = 0.6


def pack(
    ranked: Sequence[Ranked], budget_chars: int, earlier: Sequence[Source] = (), max_passages_per_source: int = 16
) -> Context:
    """Take passages in rank order while they fit.

    The first of the `earlier` sources come first, as they stood, as long as each serves again: a model's server has
    read them already. What else ranks high on their pages follows as a source of its own.
    """
    kept = _serving(ranked, budget_chars, earlier) if earlier else ()
    stands = {(source.document.url, row.passage.text) for source in kept for row in source.passages}
    chosen: dict[str, list[Ranked]] = {}
    room = budget_chars - sum(len(rendered(source)) + 1 for source in kept)
    dropped = 0
    for row in ranked:
        url = row.passage.document.url
        if (url, row.passage.text) in stands:
            continue
        passages = chosen.get(url, [])
        cost = len(defused(row.passage.text)) + (len(GAP) if passages else _frame(row))
        if cost <= room and len(passages) < max_passages_per_source:
            chosen.setdefault(url, []).append(row)
            room -= cost
        else:
            dropped += 1
    packed = [source.passages for source in kept] + [tuple(rows) for rows in chosen.values()]
    sources = tuple(Source(number, rows[0].passage.document, rows) for number, rows in enumerate(packed, start=1))
    return Context("\n".join(rendered(source) for source in sources), sources, dropped)


def _serving(ranked: Sequence[Ranked], budget_chars: int, earlier: Sequence[Source]) -> tuple[Source, ...]:
    """Return the first of the earlier sources, as long as each would be packed again, up to a share of the budget."""
    now = pack(ranked, budget_chars).sources
    again = {(source.document.url, row.passage.text) for source in now for row in source.passages}
    kept: list[Source] = []
    room = int(EARLIER_SHARE * budget_chars)
    for source in earlier:
        room -= len(rendered(source)) + 1
        serves = any((source.document.url, row.passage.text) in again for row in source.passages)
        if room < 0 or not serves:
            break
        kept.append(source)
    return tuple(kept)


def of_best_pages(ranked: Sequence[Ranked], most: int | None) -> tuple[Ranked, ...]:
    """Return the passages of the `most` pages that rank best; of all for None."""
    best = list(dict.fromkeys(row.passage.document.url for row in ranked))[:most]
    return tuple(row for row in ranked if row.passage.document.url in best)


def rendered(source: Source) -> str:
    """Return a source as the model sees it, in the published form of R1's search prompt."""
    date = f" ({source.document.date})" if source.document.date else ""
    title = defused(f"{source.document.title}{date}")
    body = _body(source.passages)
    return f"[webpage {source.number} begin]\n{title}\n{body}\n[webpage {source.number} end]"


def defused(text: str) -> str:
    """Make look-alikes of control tokens and delimiters harmless; length and words stay."""
    return DELIMITER.sub("(", harmless(text))


def harmless(text: str) -> str:
    """Make look-alikes of control tokens harmless, which a client's text may hold as well; length and words stay."""
    return CONTROL.sub("‹", text)


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
