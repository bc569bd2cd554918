"""Proves citation marks: what their pages, or else another page that was read, say of what they stand behind.

Blocks for some milliseconds a mark: call it in a thread.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.across import Across
from agent.across_weights import PROVEN
from agent.claims import QUESTION_ENDS, sentences
from agent.support import Evidence, Support
from agent.support_weights import SUPPORTED
from retrieval.types import Document

# The marks of an answer beyond so many different claims are not judged; a model in a loop writes thousands.
MOST_CLAIMS = 200
# A claim of fewer terms says too little to be held against a page, and a question says nothing.
LEAST_TERMS = 2
MOST_TOGETHER = 3
OF_PAGES = re.compile(r"\b(?:(?:web ?)?pages?|sources?|passages?|texts?)\b|страниц|источник|отрывк", re.IGNORECASE)
# What is supported so far may be said in other words: not proven, but a warning that no page says it would be wrong.
NEARLY = 0.45
# Of an answer that no mark proves, so many sentences are looked for on all pages.
MOST_SENTENCES = 12


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one cited page: the page that the mark should name, which may be another, and its proof.

    `support` None: it was not judged. `quote` None: the page does not prove it, or that was not judged.
    """

    page: Document
    support: float | None = None
    quote: str | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the mark."""
        return self.support is None or self.quote is not None


class Proof:
    """Judges the marks of one answer by what it may rest on: `evidence`, some of each page of its sources in it.

    `across` judges pages in another language than the answer's, which have other words for the same; None: nothing
    does.
    """

    def __init__(self, evidence: Evidence, across: Across | None = None) -> None:
        self._evidence, self._across = evidence, across
        self._known: dict[tuple[str, ...], Sequence[Verdict]] = {}
        self._quoted: Mapping[str, str] = {}

    def quoting(self, quotes: Mapping[str, str]) -> None:
        """Take quotes for proof from now on, by the address of their pages: the marks that follow stand behind them."""
        self._quoted = quotes

    def verdicts(self, claim: str, pages: Sequence[Document]) -> Sequence[Verdict]:
        """Judge the marks of one claim: one verdict for each of the pages, in their order.

        Pages that prove a claim together count as proof. Where those that are named do not, one that does takes their
        place.
        """
        if self._quoted:
            return [Verdict(page, 1.0, self._quoted.get(page.url)) for page in pages]
        if not pages:
            return []
        key = (claim, *(page.url for page in pages))
        if key not in self._known:
            if len(self._known) >= MOST_CLAIMS:
                return [Verdict(page) for page in pages]
            self._known[key] = self._judged(claim, pages)
        return self._known[key]

    def misses(self, answer: str, pages: Sequence[Document]) -> bool:
        """Tell whether no sentence of an answer is said by any page, and all of its `pages` could be judged.

        Sentences that pages do not tell something are left alone: no page would say that.
        """
        told = sentences(answer)[:MOST_SENTENCES]
        said = [each for each in told if not (self._evidence.denies(each) and OF_PAGES.search(each))]
        if not said or any(map(self._foreign, pages)):
            return False
        verdicts = map(self.anywhere, said)
        return not any(verdict and (verdict.support or 0.0) >= NEARLY for verdict in verdicts)

    def anywhere(self, claim: str) -> Verdict | None:
        """Judge the page that says a claim best; None where there is none, and for claims beyond the number."""
        if (claim,) not in self._known:
            if len(self._known) >= MOST_CLAIMS:
                return None
            found = self._evidence.elsewhere(claim, frozenset())
            self._known[claim,] = [_verdict(found)] if found else []
        return next(iter(self._known[claim,]), None)

    def _judged(self, claim: str, pages: Sequence[Document]) -> Sequence[Verdict]:
        if self._evidence.terms(claim) < LEAST_TERMS or claim.endswith(QUESTION_ENDS):
            return [Verdict(page) for page in pages]
        own = iter(self._of_own(claim, [page for page in pages if not self._foreign(page)]))
        verdicts = [self._of_foreign(claim, page) if self._foreign(page) else next(own) for page in pages]
        if not any(verdict.holds for verdict in verdicts):
            elsewhere = self._evidence.elsewhere(claim, {page.url for page in pages})
            if elsewhere and _holds(elsewhere):
                return [_verdict(elsewhere)] * len(pages)
        return verdicts

    def _of_foreign(self, claim: str, page: Document) -> Verdict:
        support = self._across.support(claim, self._evidence.page(page.url)) if self._across else None
        return _verdict(support, PROVEN) if support else Verdict(page)

    def _of_own(self, claim: str, pages: Sequence[Document]) -> Sequence[Verdict]:
        """Judge pages in the answer's language."""
        found = [self._evidence.support(claim, [page.url])[0] for page in pages]
        if len(pages) > 1 and not any(map(_holds, found)):
            together = {support.page.url: support for support in self._together(claim, [page.url for page in pages])}
            found = [together.get(support.page.url, support) for support in found]
        return [_verdict(support) for support in found]

    def _together(self, claim: str, addresses: Sequence[str]) -> Sequence[Support]:
        """Return what pages say that prove a claim together, each of which is needed for that; none where they do not.

        More than a handful is not tried: any claim can be put together from enough pages.
        """
        found = self._evidence.support(claim, addresses) if len(addresses) <= MOST_TOGETHER else []
        if not all(map(_holds, found)):
            return []
        for address in addresses:
            rest = [other for other in addresses if other != address]
            if fewer := self._together(claim, rest):
                return fewer
        return found

    def _foreign(self, page: Document) -> bool:
        return page.language not in (None, "", self._evidence.language)


def _holds(support: Support) -> bool:
    return support.score >= SUPPORTED


def _verdict(support: Support, from_score: float = SUPPORTED) -> Verdict:
    page = support.page
    proven = support.score >= from_score
    return Verdict(page, support.score, page.text[support.start : support.end].strip() if proven else None)
