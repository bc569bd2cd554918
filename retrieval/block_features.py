"""Describes the blocks of a page by numbers that tell main text from the rest. Pure.

What is measured of a block: its own text and links (as boilerpipe does: Kohlschütter, Fankhauser and Nejdl, WSDM 2010),
its neighbors', what its elements are and are called, and how much of the page's prose stands around it (as Arc90's
Readability does). One pass over the blocks for each; nothing depends on a language.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from lxml.etree import _Element
from numpy.typing import NDArray

from retrieval.blocks import HEADINGS, Block

Matrix = NDArray[np.float64]

SENTENCE_END = re.compile(r"[.!?。！？…:؟।][\"'»”’)\]]*$")
LISTED = re.compile(r"[©•►→|]|\d{1,2}[.:]\d\d\b")
COMMAS = re.compile(r"[,，、،]")
# What classes and ids of elements are called. Pages in all languages name them in English, or nearly so.
NAMED = {
    "comments": re.compile(r"comm?ent|kommentar|disqus|replies|discuss|feedback", re.IGNORECASE),
    "more pages": re.compile(
        r"relat|see-?also|read-?(?:more|also|next)|recommend|popular|most-?(?:read|viewed)|teaser|widget|promo|sidebar"
        r"|latest|more-?news|also|similar|anons",
        re.IGNORECASE,
    ),
    "controls": re.compile(
        r"share|social|follow|subscri|newsletter|login|banner|cookie|consent|adver|sponsor|copyright|foot|bread-?crumb"
        r"|menu|nav\b|navi|tags?\b|tool|button|print|rating|vote|pag(?:er|ing|ination)|search",
        re.IGNORECASE,
    ),
    "details": re.compile(r"author|byline|meta|date|time|caption|credit|source|category|rubric", re.IGNORECASE),
    "content": re.compile(r"article|content|body|post|story|text|entry|main|news", re.IGNORECASE),
}
ASIDE = frozenset(("aside", "nav", "footer", "header", "form"))
ARTICLE = frozenset(("article", "main"))
# A name says nothing of a block when its element holds so much of the page: `<body class="no-sidebar">`.
WRAPPER_SHARE = 0.6
# Longer classes and ids are made to cost time.
NAME_CHARS = 200
FAR = 20
TOWARDS_TOP = 6

_OWN = (
    "length", "link share", "sentence end", "length unlinked", "commas", "listed", "upper case", "repeated", "prose",
    "place", "prose before", "prose after", "sentences since", "sentences until",
)  # fmt: skip
_AROUND = (
    "prose in element", "prose in parent", "prose in 2nd parent", "prose in 3rd parent", "parent beside best",
    "text of its kind", "links of its kind", "number of its kind", "depth",
    "in top", "1 from top", "2 from top", "steps from top", "nearness to top",
)  # fmt: skip
_MARKS = (*NAMED, "aside", "article", "item", "cell", "paragraph", "headline", "heading")
_NEIGHBORS = ("length", "link share", "sentence end", "length unlinked")
NAMES = (
    *_OWN, *_AROUND, *_MARKS, *(f"{name} at {step:+d}" for step in (-2, -1, 1, 2) for name in _NEIGHBORS),
)  # fmt: skip


def features(page: Sequence[Block]) -> Matrix:
    """Describe every block of a page; shape (len(page), len(NAMES))."""
    if not page:
        return np.zeros((0, len(NAMES)))
    own = _own(page)
    prose = own[:, _OWN.index("prose")] * np.array([len(block.text) for block in page])
    inside = _inside(page, prose)
    marks = _marks(page, inside)
    aside = np.any(marks[:, [_MARKS.index(name) for name in ("comments", "controls", "aside")]] > 0, axis=1)
    return np.hstack([own, _around(page, aside, inside), marks, _neighbors(own)])


def _own(page: Sequence[Block]) -> Matrix:
    chars = np.array([len(block.text) for block in page], float)
    links = np.array([block.link_share for block in page])
    ends = np.array([bool(SENTENCE_END.search(block.text)) for block in page], float)
    share = (1 - links) * (0.1 + 0.9 * ends) * (chars > 40)
    prose = chars * share
    total = prose.sum() or 1.0
    until = np.cumsum(prose) / total
    count = Counter(block.text for block in page)
    sentences = prose > 80
    return np.column_stack(
        [
            np.log1p(chars),
            links,
            ends,
            np.log1p(chars) * (1 - links),
            [len(COMMAS.findall(block.text)) > 2 for block in page],
            [bool(LISTED.match(block.text)) for block in page],
            [block.text.isupper() for block in page],
            [count[block.text] > 1 for block in page],
            share,
            np.cumsum(chars) / chars.sum(),
            until - prose / total,
            1 - until,
            _since(sentences),
            _since(sentences[::-1])[::-1],
        ]
    )


def _since(marked: NDArray[np.bool_]) -> Matrix:
    """Count the steps back to the last marked row, at most FAR."""
    steps, out = FAR, np.empty(len(marked))
    for i, mark in enumerate(marked):
        steps = min(FAR, steps + 1)
        out[i] = steps
        steps = 0 if mark else steps
    return out


def _inside(page: Sequence[Block], prose: Matrix) -> dict[_Element, float]:
    """Return the share of the page's prose that stands inside each element."""
    total = prose.sum() or 1.0
    inside: dict[_Element, float] = defaultdict(float)
    for block, chars in zip(page, prose, strict=True):
        for element in block.around:
            inside[element] += chars / total
    return inside


def _around(page: Sequence[Block], aside: NDArray[np.bool_], inside: dict[_Element, float]) -> Matrix:
    parents = np.array([[inside[block.around[min(i, len(block.around) - 1)]] for i in range(4)] for block in page])
    best = parents[:, 1].max() or 1.0
    depth = np.array([min(len(block.around), 30) / 30 for block in page])
    return np.column_stack([parents, parents[:, 1] / best, _kinds(page), depth, _top(page, aside)])


def _kinds(page: Sequence[Block]) -> Matrix:
    """Say of each block how much text, links and blocks the page has in elements of the same tag and class."""
    total = sum(len(block.text) for block in page)
    kinds = [(block.tag, block.around[0].get("class")) for block in page]
    sums: dict[tuple[str, str | None], Matrix] = defaultdict(lambda: np.zeros(3))
    for kind, block in zip(kinds, page, strict=True):
        sums[kind] += (len(block.text), len(block.text) * block.link_share, 1)
    rows = np.array([sums[kind] for kind in kinds])
    return np.column_stack([rows[:, 0] / total, rows[:, 1] / rows[:, 0], np.log1p(rows[:, 2])])


def _top(page: Sequence[Block], aside: NDArray[np.bool_]) -> Matrix:
    """Say how near each block is to the element that holds the article, by Readability's count of points."""
    points = _points(page, aside)
    if not points:
        return np.zeros((len(page), 5))
    top = max(points, key=lambda element: points[element])
    steps = {element: i for i, element in enumerate((top, *top.iterancestors()))}
    rows = []
    for block in page:
        step = next((steps[element] for element in block.around if element in steps), TOWARDS_TOP)
        near = max(points.get(element, 0.0) for element in block.around[:4]) / points[top]
        rows.append((step == 0, step <= 1, step <= 2, min(step, TOWARDS_TOP) / TOWARDS_TOP, near))
    return np.array(rows, float)


def _points(page: Sequence[Block], aside: NDArray[np.bool_]) -> dict[_Element, float]:
    """Give points for prose to the elements around it, fewer the farther, and fewer to elements full of links."""
    points: dict[_Element, float] = defaultdict(float)
    chars: dict[_Element, float] = defaultdict(float)
    links: dict[_Element, float] = defaultdict(float)
    for block, beside in zip(page, aside, strict=True):
        length = len(block.text)
        for element in block.around:
            chars[element] += length
            links[element] += length * block.link_share
        if length >= 25 and block.link_share < 0.5:
            worth = (1 + len(COMMAS.findall(block.text)) + min(3, length / 100)) * (0.3 if beside else 1.0)
            for element, part in zip(_holders(block), (1, 1 / 2, 1 / 6), strict=False):
                points[element] += worth * part
    return {
        element: given * (1 - links[element] / chars[element]) * _repute(element) for element, given in points.items()
    }


def _holders(block: Block) -> tuple[_Element, ...]:
    """Return the elements that a text speaks for: not the paragraph itself, but what it stands in."""
    paragraph = block.tag in ("p", "pre", "td", "blockquote", "li") or block.tag in HEADINGS
    return block.around[1:4] if paragraph else block.around[:3]


def _repute(element: _Element) -> float:
    comments, more_pages, controls, _, content = _called(element)
    bad = comments or more_pages or controls
    return (1.25 if content else 1.0) * (0.6 if bad else 1.0) * (1.2 if element.tag in ARTICLE else 1.0)


def _marks(page: Sequence[Block], inside: dict[_Element, float]) -> Matrix:
    """Say what the elements around each block are and are called."""
    known: dict[_Element, tuple[bool, ...]] = {}
    for block in page:
        above = (False,) * (len(NAMED) + 4)
        for element in reversed(block.around):
            if element not in known:
                own = _marked(element, wrapper=inside[element] > WRAPPER_SHARE)
                known[element] = tuple(mine or theirs for mine, theirs in zip(own, above, strict=True))
            above = known[element]
    tags = [block.tag for block in page]
    return np.column_stack(
        [
            np.array([known[block.around[0]] for block in page], float),
            [tag == "p" for tag in tags],
            [tag == "h1" for tag in tags],
            [tag in HEADINGS and tag != "h1" for tag in tags],
        ]
    )


def _marked(element: _Element, *, wrapper: bool) -> tuple[bool, ...]:
    """Say what one element is called and is: the first of _MARKS."""
    *rest, content = _called(element)
    called = (*(mark and not wrapper for mark in rest), content)
    tag = element.tag
    return (*called, tag in ASIDE and not wrapper, tag in ARTICLE, tag == "li", tag == "td")


def _called(element: _Element) -> tuple[bool, ...]:
    return _in_name(f"{element.get('class') or ''} {element.get('id') or ''}"[:NAME_CHARS])


@lru_cache(maxsize=4_096)
def _in_name(name: str) -> tuple[bool, ...]:
    """Say which of NAMED a class and id are of."""
    return tuple(bool(pattern.search(name)) for pattern in NAMED.values())


def _neighbors(own: Matrix) -> Matrix:
    columns = own[:, [_OWN.index(name) for name in _NEIGHBORS]]
    padded = np.pad(columns, ((2, 2), (0, 0)))
    return np.hstack([padded[2 + step : 2 + step + len(own)] for step in (-2, -1, 1, 2)])
