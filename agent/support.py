"""Tells how well a page supports a claim, and which of its words do. Pure.

A claim is held against up to three neighboring sentences of the page: how many of its words stand there, weighed by
their rarity among all that was read, its numbers and names among them, and what is negated. Logistic regression joins
these to one figure; its weights were fitted on pairs of claims and pages (`support_weights`). Of a page those passages
are looked at that ranked high. Blocks for some tenths of a millisecond a passage: call it in a thread.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

from agent.said import Said, said
from agent.support_weights import INTERCEPT, WEIGHTS
from retrieval import urls
from retrieval.types import Document, Passage
from retrieval.words import WORD

# Sentences end as in `retrieval.chunk`, and with their line; one without an end is cut.
SENTENCE: Final = re.compile(
    r".{1,600}?(?:[.!?…](?=[\"'»”’)\]]*\s)[\"'»”’)\]]*\s+|[。！？؟।]+|\n+|\Z)|.{1,600}", re.DOTALL
)
WINDOW_SENTENCES, CANDIDATES = 3, 6
# Of so many other pages, those that have most of a claim, it is asked whether one supports it.
PAGES_ELSEWHERE, PAGES_LOOKED_THROUGH = 6, 30
# Of the figure, what is left where one side alone negates a word of both: without it a short claim would still do.
NEGATED_SHARE: Final = 0.5
# Of a page that is a list of lines, what stands in its best passages.
SENTENCES_OF_PAGE: Final = 400
SENTENCE_COST: Final = 0.02
# With less of a claim's words the figure falls to nothing: of a claim of two words, one is no support.
LEAST_WORDS_SHARE: Final = 0.3
# What a number counts beside a word that no other sentence has.
NUMBER_SHARE: Final = 0.7
# How many words around a name or number must be about it on the page too.
BESIDE, BESIDE_ON_PAGE = 2, 4


@dataclass(frozen=True, slots=True)
class Support:
    """How well a page supports a claim, from 0 to 1, and the words that do most: `page.text[start:end]`."""

    page: Document
    score: float
    start: int
    end: int


class PageText:
    """The sentences of one page that stand in its passages, in the order of the page; in `ranked`, in that of these."""

    def __init__(self, passages: Sequence[Passage], language: str) -> None:
        self.document = passages[0].document
        self.language = language
        self.title = said(self.document.title, language)
        rows = sorted(passages, key=lambda passage: passage.start)
        all_sentences = (sentence for passage in passages for sentence in _sentences(passage, language))
        self.ranked = list(islice(all_sentences, SENTENCES_OF_PAGE))
        self.sentences = sorted(self.ranked, key=lambda sentence: sentence.start)
        self.squeezed = " … ".join(_squeezed(passage.text) for passage in rows)
        self.whole = Window((self.title, *self.sentences), frozenset())

    def spans(self, place: int, most: int) -> Iterator[tuple[int, int]]:
        """List the runs of up to `most` neighboring sentences around one; no text of the page lies between them."""
        for size in range(1, most + 1):
            for start in range(max(0, place - size + 1), place + 1):
                run = self.sentences[start : start + size]
                if len(run) == size and all(self._neighbors(one, other) for one, other in pairwise(run)):
                    yield start, start + size

    def _neighbors(self, one: Said, other: Said) -> bool:
        return not self.document.text[one.end : other.start].strip()


def _sentences(passage: Passage, language: str) -> Iterator[Said]:
    for found in SENTENCE.finditer(passage.text):
        if found[0].strip():
            yield said(found[0], language, passage.start + found.start(), passage.start + found.end())


class Window:
    """Some neighboring sentences, with the title of their page: a sentence often lacks the name it speaks of."""

    def __init__(self, sentences: Sequence[Said], title: Set[str]) -> None:
        self.sentences = sentences
        self.terms = frozenset(term for sentence in sentences for term in sentence.terms)
        self.titled = self.terms | title
        self.numbers = frozenset(number for sentence in sentences for number in sentence.numbers)
        self.negated = frozenset(term for sentence in sentences for term in sentence.negated)

    @property
    def start(self) -> int:
        """Where it begins in the page's text."""
        return self.sentences[0].start if self.sentences else 0

    @property
    def end(self) -> int:
        """Where it ends in the page's text."""
        return self.sentences[-1].end if self.sentences else 0

    @property
    def negative(self) -> bool:
        """Whether anything in it is negated."""
        return any(sentence.negative for sentence in self.sentences)


class Evidence:
    """What an answer may rest on: passages of pages, each once. `language` is a two-letter code."""

    def __init__(self, passages: Iterable[Passage], language: str) -> None:
        self.language = language
        of_pages: dict[str, dict[int, Passage]] = {}
        for passage in passages:
            rows = of_pages.setdefault(urls.printable(passage.document.url), {passage.start: passage})
            # A page that was read again may have changed: of two versions the first is the one that was given.
            if next(iter(rows.values())).document.text == passage.document.text:
                rows.setdefault(passage.start, passage)
        self._pages = {
            url: PageText(list(rows.values()), next(iter(rows.values())).document.language or language)
            for url, rows in of_pages.items()
        }
        sentences = [sentence for page in self._pages.values() for sentence in page.sentences]
        self._frequencies = Counter(term for sentence in sentences for term in set(sentence.terms))
        self._sentences = max(1, len(sentences))
        self._number_worth = NUMBER_SHARE * math.log(1 + self._sentences)

    def page(self, url: str) -> PageText:
        """Return a page. Raises KeyError for one that is not among these."""
        return self._pages[urls.printable(url)]

    def terms(self, claim: str) -> int:
        """Count the terms of a claim: its words that say something."""
        return len(said(claim, self.language).terms)

    def denies(self, claim: str) -> bool:
        """Tell whether a claim negates something."""
        return said(claim, self.language).negative

    def support(self, claim: str, addresses: Sequence[str]) -> list[Support]:
        """Tell how well pages support a claim together, a part of it each; gives what each says of it.

        Raises KeyError for a page that is not among these.
        """
        return self._supported(claim, said(claim, self.language), [self.page(url) for url in addresses])

    def _supported(self, claim: str, asked: Said, pages: Sequence[PageText]) -> list[Support]:
        windows = [self._nearest(asked, page) for page in pages]
        score = self._score(claim, asked, _joined(windows), pages)
        return [
            Support(page.document, score, window.start, window.end) for page, window in zip(pages, windows, strict=True)
        ]

    def elsewhere(self, claim: str, but: Set[str]) -> Support | None:
        """Return what the page that supports a claim best says of it, of the pages in the claim's language.

        The pages `but` are left out; None where there are no others.
        """
        asked = said(claim, self.language)
        known = {urls.printable(url) for url in but}
        others = [page for url, page in self._pages.items() if url not in known and page.language == self.language]
        others.sort(key=lambda page: -self._share(asked, page.whole.terms, page.whole.numbers))
        worth = {term: self._rarity(term) for term in asked.terms} | dict.fromkeys(asked.numbers, self._number_worth)

        def best_sentence(page: PageText) -> float:
            return max((sum(map(worth.__getitem__, worth.keys() & each.terms)) for each in page.sentences), default=0.0)

        # By their best sentence: a page that has each word somewhere says nothing by that.
        others = sorted(others[:PAGES_LOOKED_THROUGH], key=best_sentence, reverse=True)
        found = (self._supported(claim, asked, [page])[0] for page in others[:PAGES_ELSEWHERE])
        return max(found, key=lambda support: support.score, default=None)

    def features(self, claim: str, url: str) -> dict[str, float]:
        """Return what the figure is made of, for fitting its weights."""
        page, asked = self.page(url), said(claim, self.language)
        return self._features(claim, asked, self._nearest(asked, page), [page])

    def _score(self, claim: str, asked: Said, window: Window, pages: Sequence[PageText]) -> float:
        if not window.sentences or not asked.terms:
            return 0.0
        found = self._features(claim, asked, window, pages)
        logit = INTERCEPT + sum(WEIGHTS[name] * value for name, value in found.items())
        score = min(1.0, found["words"] / LEAST_WORDS_SHARE) / (1 + math.exp(-logit))
        return score * NEGATED_SHARE if found["negated otherwise"] else score

    def _nearest(self, asked: Said, page: PageText) -> Window:
        """Return the window that has most of a claim; one more sentence must bring something."""

        def worth(window: Window) -> float:
            return self._share(asked, window.terms, window.numbers) - SENTENCE_COST * len(window.sentences)

        return max(self._windows(asked, page), key=worth, default=Window((), frozenset()))

    def _windows(self, asked: Said, page: PageText) -> Iterator[Window]:
        """List the windows around the sentences that have most of the claim."""
        terms = frozenset(asked.terms)
        alone = [self.weight(terms.intersection(each.terms)) for each in page.sentences]
        best = sorted(range(len(alone)), key=lambda i: -alone[i])[:CANDIDATES]
        spans = {span for place in best for span in page.spans(place, WINDOW_SENTENCES)}
        title = frozenset(page.title.terms)
        return (Window(page.sentences[start:end], title) for start, end in sorted(spans))

    def _share(self, asked: Said, terms: Set[str], numbers: Set[str]) -> float:
        known = frozenset(asked.terms)
        each = self._number_worth
        whole = self.weight(known) + each * len(asked.numbers)
        return (self.weight(known & terms) + each * len(asked.numbers & numbers)) / whole if whole else 0.0

    def known(self, terms: Iterable[str]) -> frozenset[str]:
        """Return the terms that some page has."""
        return frozenset(filter(self._frequencies.__contains__, terms))

    def weight(self, terms: Set[str]) -> float:
        """Weigh terms by their rarity; numbers weigh nothing."""
        # Exact, so that the order of a set does not matter.
        return math.fsum(map(self._rarity, terms))

    def _rarity(self, term: str) -> float:
        """Inverse frequency among the sentences of all pages."""
        return 0.0 if term.isdigit() else math.log(1 + self._sentences / (1 + self._frequencies[term]))

    def _features(self, claim: str, asked: Said, window: Window, pages: Sequence[PageText]) -> dict[str, float]:
        shared = window.terms.intersection(asked.terms)
        whole = pages[0].whole if len(pages) == 1 else _joined([page.whole for page in pages])
        return {
            "words": self._share(asked, window.terms, window.numbers),
            "words on page": self._share(asked, whole.terms, whole.numbers),
            "numbers missing": missing(asked.numbers, window.numbers),
            "numbers not on page": missing(asked.numbers, whole.numbers),
            "names missing": missing(asked.names, window.titled),
            "names not on page": missing(asked.names, whole.terms),
            "negated otherwise": min(2, len(shared & (asked.negated ^ window.negated))),
            "negative alone": float(asked.negative and not window.negative),
            "length": math.log(1 + len(asked.terms)),
            "literal": float(
                asked.numbers <= whole.numbers and any(_squeezed(claim) in page.squeezed for page in pages)
            ),
            "beside names and numbers": min(_beside(asked, window), default=1.0),
        }


def _joined(windows: Sequence[Window]) -> Window:
    """Return one window of all the sentences."""
    if len(windows) == 1:
        return windows[0]
    sentences = [sentence for window in windows for sentence in window.sentences]
    return Window(sentences, frozenset().union(*(window.titled for window in windows)))


def missing(wanted: Set[str], found: Set[str]) -> float:
    """Return the share of what is wanted that was not found; 0 where nothing is wanted."""
    return len(wanted - found) / len(wanted) if wanted else 0.0


def _beside(asked: Said, window: Window) -> Iterator[float]:
    """For each name and number of a claim: the share of the words beside it that stand near it in the window too."""
    terms = [term for sentence in window.sentences for term in sentence.terms]
    for place in asked.marked:
        marked = asked.terms[place]
        beside = [term for term in _around(asked.terms, place, BESIDE) if term != marked]
        places = [i for i, term in enumerate(terms) if term == marked]
        near = (set(_around(terms, i, BESIDE_ON_PAGE)) for i in places)
        if beside:
            yield max((sum(term in each for term in beside) / len(beside) for each in near), default=0.0)


def _around(terms: Sequence[str], place: int, reach: int) -> Sequence[str]:
    return terms[max(0, place - reach) : place + reach + 1]


def _squeezed(text: str) -> str:
    words = WORD.findall(text.lower().replace("\u0301", ""))
    return f" {' '.join(words)} "
