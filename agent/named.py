"""Puts passages of pages that the user named first: "sum this up" shares no word with the page. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from retrieval.chunk import chunk
from retrieval.limits import ChunkLimits
from retrieval.rank import Ranking
from retrieval.types import Document, Ranked


def named_first(ranking: Ranking, named: Sequence[Document], limits: ChunkLimits) -> Ranking:
    """Return the ranking with those pages' passages first: the ranked ones in their order, then the rest in the page's.

    With such a page what was read is never beside the question.
    """
    if not named:
        return ranking
    places = {(row.passage.document.url, row.passage.start): row for row in ranking.passages}
    wanted = {document.url for document in named}
    first = {key: row for key, row in places.items() if key[0] in wanted}
    for document in named:
        for passage in chunk(document, limits):
            first.setdefault((document.url, passage.start), Ranked(passage, 0.0, 0.0))
    others = (row for key, row in places.items() if key not in first)
    return replace(ranking, passages=(*first.values(), *others), unrelated=False)
