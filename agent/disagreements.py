"""Finds where pages disagree on what was asked: sentences that are alike but for a value. Pure; call it in a thread.

A value is a run of names, or of numbers. Two sentences of different pages disagree where most of what they say is the
same, each has a value that the other lacks, and words beside the two values are the same. What most pages are at odds
about comes first: any two sentences may speak of different things.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from agent.said import Said, said
from agent.support import Evidence
from agent.types import Disagreement, Source, Statement
from retrieval.types import Document

# Sentences that are held against each other, so many of a page: those that have most of the words of the question, or
# of a sentence of the answer too.
MOST_SENTENCES, MOST_OF_PAGE = 40, 4
# How much of those a sentence has at least, and how much beside the one that has most.
LEAST_SHARE, LEAST_OF_BEST = 0.3, 0.4
# How much of what they say besides their values is the same, and how many terms that are.
ALIKE_FROM, LEAST_ALIKE = 0.6, 3
# A sentence with more values that the other lacks is a list.
MOST_VALUES = 4
# How many terms on each side of a value stand for its place, and how many of those are the same.
BESIDE, LEAST_BESIDE = 2, 2
# Figures that are nearer to each other are the same one, rounded. Years are not rounded.
ROUNDED: Final = 0.03
MOST_TOLD: Final = 5
MOST_QUOTE_CHARS, MOST_WORD_CHARS = 240, 40
# Of these a reader's page would make markup, or links; a quote of a page is to be words. Initials and figures stay.
MARKUP: Final = re.compile(r"[\[\]<>`*_|\\#~^$【】［］＜＞｀＊＿｜]+")
ADDRESS: Final = re.compile(r"@|://|^www\.|^\w+:\S|\w/\w*\.|[^\W\d_]{2}\.\w|\w\.[^\W\d_]{2}", re.IGNORECASE)

Value = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a source's page, its share of the terms that it was looked up by, and names of the question's."""

    number: int
    document: Document
    said: Said
    share: float
    names: frozenset[str]


def disagreements(
    question: str, sources: Sequence[Source], evidence: Evidence, answered: str = ""
) -> tuple[Disagreement, ...]:
    """Return what sources disagree on, the values of most pages first.

    They are found among the sentences that are nearest to the question, together with a sentence of its answer.
    """
    asked, about = (said(text, evidence.language) for text in (question, f"{question}\n{answered}"))
    relevant = _relevant(asked, evidence.known(about.terms), sources, evidence)
    found: dict[tuple[Value, Value], list[tuple[_Sentence, _Sentence]]] = {}
    for one, other in combinations(relevant, 2):
        if one.document.url != other.document.url and one.names == other.names:
            for value, against in _differing(one.said, other.said, asked, evidence):
                pair = (one, other) if value < against else (other, one)
                found.setdefault((min(value, against), max(value, against)), []).append(pair)
    ordered = sorted(found.items(), key=lambda item: _weightiest(item[1]), reverse=True)
    return tuple(_told(values, pairs) for values, pairs in ordered[:MOST_TOLD])


def one_sided(answer: str, found: Sequence[Disagreement], language: str) -> Disagreement | None:
    """Return the first disagreement of which an answer has one value and nothing of the other; None without one."""
    terms = frozenset(said(answer, language).terms)

    def lacks(each: Disagreement) -> bool:
        one, other = frozenset(each.one.value), frozenset(each.other.value)
        return (one <= terms and not other & terms) or (other <= terms and not one & terms)

    return next(filter(lacks, found), None)


def _relevant(asked: Said, about: frozenset[str], sources: Sequence[Source], evidence: Evidence) -> list[_Sentence]:
    """List the sentences that have most of some terms, best first; none of other years or names than was asked."""
    worth = {term: evidence.weight({term}) for term in about}
    whole, years = sum(worth.values()), _years(asked.terms)
    rows = []
    for source in sources:
        page = evidence.page(source.document.url)
        for each in page.sentences if whole else ():
            share = sum(map(worth.__getitem__, about.intersection(each.terms))) / whole
            names = asked.names.intersection(each.terms + page.title.terms)
            other_years = years and years.isdisjoint(each.terms) and _years(each.terms)
            if share >= LEAST_SHARE and not other_years and (names or not asked.names):
                rows.append(_Sentence(source.number, source.document, each, share, names))
    rows.sort(key=lambda row: -row.share)
    kept, of_page = [], Counter[str]()
    for row in rows:
        of_page[row.document.url] += 1
        if row.share >= LEAST_OF_BEST * rows[0].share and of_page[row.document.url] <= MOST_OF_PAGE:
            kept.append(row)
    return kept[:MOST_SENTENCES]


def _differing(one: Said, other: Said, asked: Said, evidence: Evidence) -> Iterator[tuple[Value, Value]]:
    """List the values that stand in the same place of two sentences and differ; none where those are not alike."""
    common = frozenset(one.terms) & frozenset(other.terms)
    own, others = (_marked(each) - common - set(asked.terms) for each in (one, other))
    if not own or not others or not _alike(one, own, other, others, evidence):
        return
    values, against = list(_values(one, own)), list(_values(other, others))
    # Where both differ in more than one thing, they may speak of different things.
    if min(len(values), len(against)) > 1 or max(len(values), len(against)) > MOST_VALUES:
        return
    # What was in one year and what was in another are two things, unless the year is what was asked.
    years_differ = bool(_years(own) and _years(others))
    for value, place in values:
        for instead, there in against:
            if years_differ and not (_years(value) and _years(instead)):
                continue
            if _same_place(place, there) and _contrary(value, instead, one, other):
                yield value, instead


def _alike(one: Said, own: Set[str], other: Said, others: Set[str], evidence: Evidence) -> bool:
    """Tell whether two sentences say the same but for their values; one of them may say more."""
    common = frozenset(one.terms) & frozenset(other.terms)
    rest, more = (set(said.terms) - values for said, values in ((one, own), (other, others)))
    if len(common) < LEAST_ALIKE or (rest - common - _marked(one) and more - common - _marked(other)):
        return False
    return evidence.weight(common) >= ALIKE_FROM * min(evidence.weight(rest), evidence.weight(more))


def _contrary(value: Value, instead: Value, one: Said, other: Said) -> bool:
    """Tell whether two values are of one kind and not the same, written in another way."""
    if _is_number(value[0]) != _is_number(instead[0]):
        return False
    if not _is_number(value[0]):
        return not any(len(term) == 1 for term in (*value, *instead))
    figures = [_figure(each, said) for each, said in ((value, one), (instead, other))]
    if None in figures or (_years(value) and _years(instead)):
        return True
    least, most = sorted(figure for figure in figures if figure is not None)
    return most - least > ROUNDED * most


def _figure(value: Value, sentence: Said) -> float | None:
    """Return what a single number comes to, of which a term may be a part; None for dates."""
    if len(value) > 1 or not value[0].isdigit():
        return None
    whole = (n for n in sentence.numbers if n == value[0] or value[0] in n.lstrip("-").split("."))
    return float(next(whole, value[0]))


def _is_number(term: str) -> bool:
    return term.isdigit() or term.startswith("month ")


Place = tuple[tuple[str, ...], tuple[str, ...]]


def _values(sentence: Said, differing: Set[str]) -> Iterator[tuple[Value, Place]]:
    """List the values of a sentence among some terms, each with the terms on its left and on its right."""
    runs: list[list[int]] = []
    for place in sentence.marked:
        term = sentence.terms[place]
        if term not in differing:
            continue
        joins = runs and runs[-1][-1] == place - 1 and _is_number(sentence.terms[place - 1]) == _is_number(term)
        runs = [*runs[:-1], [*runs[-1], place]] if joins else [*runs, [place]]
    for run in runs:
        left = [term for term in sentence.terms[: run[0]] if term not in differing][-BESIDE:]
        right = [term for term in sentence.terms[run[-1] + 1 :] if term not in differing][:BESIDE]
        yield tuple(sentence.terms[place] for place in run), (tuple(left), tuple(right))


def _same_place(one: Place, other: Place) -> bool:
    same = sum(len(set(side) & set(there)) for side, there in zip(one, other, strict=True))
    # What follows a figure is its unit, or what it counts; of a date it may be another part.
    if one[1] and other[1] and one[1][0] != other[1][0] and not (one[1][0].isdigit() or other[1][0].isdigit()):
        return False
    return same >= min(LEAST_BESIDE, len(one[0]) + len(one[1]), len(other[0]) + len(other[1])) > 0


def _marked(sentence: Said) -> set[str]:
    return {sentence.terms[place] for place in sentence.marked}


def _years(terms: Sequence[str] | Set[str]) -> frozenset[str]:
    return frozenset(term for term in terms if len(term) == len("2000") and term.isdigit() and term[0] in "12")


def _weightiest(pairs: Sequence[tuple[_Sentence, _Sentence]]) -> tuple[int, int, float]:
    """Order by how many pages there are on the smaller side, then on both, then by what they have of the question."""
    pages = [len({sentence.document.url for sentence in side}) for side in zip(*pairs, strict=True)]
    return min(pages), sum(pages), max(one.share + other.share for one, other in pairs)


def _told(values: tuple[Value, Value], pairs: Sequence[tuple[_Sentence, _Sentence]]) -> Disagreement:
    """Tell a disagreement by the two sentences that have most of the question."""
    one, other = max(pairs, key=lambda pair: pair[0].share + pair[1].share)
    sites = [len({_owner(sentence.document.site) for sentence in side}) for side in zip(*pairs, strict=True)]
    return Disagreement(_statement(one, values[0], sites[0]), _statement(other, values[1], sites[1]))


def _owner(site: str) -> str:
    """Return what of a host somebody had to register, as far as its form tells: sites below it are one."""
    labels = site.split(".")
    if labels[-1].isdigit():
        return site
    country = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if country else -2 :])


def _statement(sentence: _Sentence, value: Value, sites: int) -> Statement:
    exact = sentence.document.text[sentence.said.start : sentence.said.end].strip()
    return Statement(sentence.number, words_of(exact), exact, value, sites)


def words_of(text: str) -> str:
    """Return the words of a page's text, without what could become markup or a link, up to some length."""
    shown = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in text)
    words = (word for word in MARKUP.sub(" ", shown).split() if not ADDRESS.search(word))
    quote = " ".join(word[:MOST_WORD_CHARS] for word in words)
    return quote if len(quote) <= MOST_QUOTE_CHARS else f"{quote[:MOST_QUOTE_CHARS].rpartition(' ')[0]} …"
