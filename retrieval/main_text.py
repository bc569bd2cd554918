"""Finds the main text of a parsed page: keeps the blocks that a linear model takes for it.

The model is a logistic regression over `retrieval.block_features`; its weights are in `retrieval.block_weights`, and
`tests/benchmarks/fit_main_text.py` fits them. Beside the cleaners that were measured it keeps more of what is wanted
and less of what is not, at a fraction of their time: docs/benchmarks.md.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from lxml.etree import _Element
from numpy.typing import NDArray

from retrieval.block_features import NAMES, Matrix, features
from retrieval.block_weights import INTERCEPT, WEIGHTS
from retrieval.blocks import Block, blocks

_WEIGHTS = np.array([WEIGHTS[name] for name in NAMES])
# A table, a list or code between two paragraphs of the main text is part of it, though its blocks do not look like it:
# at most so many blocks, none of them mostly links, in the element so near above both that holds them all.
GAP_BLOCKS = 60
GAP_LINK_SHARE = 0.3
GAP_STEPS = 4
NEVER_IN_GAP = [NAMES.index(name) for name in ("comments", "more pages", "controls", "aside")]
# The cells of a row stay on one line: a figure means nothing without the name beside it.
BETWEEN_CELLS = " | "


def main_text(tree: _Element) -> str:
    """Return the main text of a page, a block a line; "" when it has none."""
    page = blocks(tree)
    return "\n".join(_lines([block for block, kept in zip(page, is_main(page), strict=True) if kept]))


def is_main(page: Sequence[Block]) -> NDArray[np.bool_]:
    """Tell for each block of a page whether it belongs to the main text; shape (len(page),)."""
    table = features(page)
    kept: NDArray[np.bool_] = table @ _WEIGHTS + INTERCEPT > 0
    for before, after in pairwise(np.flatnonzero(kept).tolist()):
        if 1 < after - before <= GAP_BLOCKS + 1 and _belongs(page, table, before, after):
            kept[before:after] = True
    return kept


def _belongs(page: Sequence[Block], table: Matrix, before: int, after: int) -> bool:
    """Tell whether what stands between two blocks of the main text belongs to them."""
    gap = page[before + 1 : after]
    if np.any(table[before + 1 : after, NEVER_IN_GAP]) or any(block.link_share > GAP_LINK_SHARE for block in gap):
        return False
    others = set(page[before].around[:GAP_STEPS])
    both = next((element for element in page[after].around[:GAP_STEPS] if element in others), None)
    return both is not None and all(both in block.around for block in gap)


def _lines(kept: Sequence[Block]) -> list[str]:
    lines: list[str] = []
    row_before: _Element | None = None
    for block in kept:
        row = _row(block)
        if row is not None and row is row_before:
            lines[-1] += BETWEEN_CELLS + block.text
        else:
            lines.append(block.text)
        row_before = row
    return lines


def _row(block: Block) -> _Element | None:
    """Return the table row that a block is a whole cell of."""
    cell, *above = block.around
    return above[0] if cell.tag in ("td", "th") and above and above[0].tag == "tr" else None
