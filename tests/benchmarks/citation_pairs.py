"""Makes pairs of a claim and a page that supports it or does not, from questions whose evidence is known.

Supported are the words of the evidence, a question put together with its answer, and sentences that people wrote over
their sources. Unsupported is what is made of those: beside another page, with another number, date or name, negated, or
half of it from elsewhere. The other page, number or name comes from pages that a search for the question finds.
"""

import gzip
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import bm25s

from agent.support import Evidence
from retrieval.chunk import SENTENCE, chunk
from retrieval.limits import ChunkLimits, RankLimits
from retrieval.rank import rank
from retrieval.types import Document, Passage
from retrieval.words import stems
from tests.benchmarks import servers

QA = servers.DATA / "data" / "qa"
# The same questions in two languages.
TRANSLATED = ("xquad_ru", "xquad_en")
SETS = ("rurag", "xquad_ru", "xquad_en", "clapnq", "musique", "hotpot", "mhr")
# How many pages a search gives, how much of each it looks at, and how many are taken to have been read.
FOUND, INDEXED_CHARS = 20, 3_000
READ = 13
NAMED_CHARS = 20_000
# English evidence is so much that it would outweigh all else.
QUOTED_SHARE = 0.33
NUMBER = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)*(?![\w-])")
YEAR = re.compile(r"\b(?:1[0-9]{3}|20[0-9]{2})\b")
# Names: words with capitals that do not begin a sentence.
NAME = re.compile(r"(?<=[\w,;:»\"”’)] )(?:[A-ZА-ЯЁ][\w'’-]+)(?: [A-ZА-ЯЁ][\w'’-]+)*")
MONTHS = (
    ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
     "December"),
    ("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября",
     "декабря"),
)  # fmt: skip
# What a question asks for, with the preposition before it.
WH = re.compile(
    r"^(?:in|on|at|from|by|to|with|for|of|в|во|на|из|с|к|о|за|от|у|по|до|при)?\s*"
    r"(?:what (?:year|city|country|state|month|day|percentage)|which \w+|how (?:many|much|long|old|far|tall)"
    r"|who(?:m|se)?|what|when|where|which"
    r"|как(?:ой|ая|ое|ие|ого|ому|им|ом|ую|их|ими)\s+\w+|сколько|кто|кого|кому|кем|ком|что|чего|чем"
    r"|когда|где|откуда|куда|чей|чья|чьё)\b",
    re.IGNORECASE,
)
AUXILIARY = re.compile(r"\b(is|was|were|are|has|have|had|can|could|will|would|did|does)\b(?! not)")
RUSSIAN_VERB = re.compile(
    r"(?<!не )\b(?:является|были?|была|было"
    r"|[а-яё]{3,}(?:лся|лась|лись|лось|ает|яет|ует|ают|ил|ал|ял|ила|ала|или|али))\b"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A claim and the page cited for it. `group`: what is made of the same pages; `kind`: how it was made."""

    claim: str
    page: Document
    supported: bool
    kind: str
    language: str
    group: str
    question: str
    found: tuple[Document, ...]  # read for the question, the right page among them


@dataclass(frozen=True, slots=True)
class Claim:
    """A true claim, the page it rests on, and the words of that page."""

    text: str
    kind: str
    page: Document
    evidence: str
    language: str
    question: str
    answer: str = ""


class Collection:
    """The documents, and a search over them."""

    def __init__(self) -> None:
        with gzip.open(QA / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        self.documents = [Document(row["url"], row["title"], row["text"], "", None, row["lang"]) for row in rows]
        self.by_id = dict(zip((row["id"] for row in rows), self.documents, strict=True))

    @cached_property
    def _index(self) -> bm25s.BM25:
        index = bm25s.BM25()
        texts = [f"{each.title}\n{each.text[:INDEXED_CHARS]}" for each in self.documents]
        index.index([stems(text, "en") for text in texts], show_progress=False)
        return index

    def found(self, question: str) -> tuple[Document, ...]:
        """Return the pages that share most words with a question."""
        asked = [word for word in stems(question, "en") if word in self._index.vocab_dict]
        if not asked:
            return ()
        scores = self._index.get_scores(asked)
        return tuple(self.documents[i] for i in scores.argsort()[::-1][:FOUND])


def pairs(seed: int = 1) -> list[Pair]:
    """Make all pairs: for each claim the true one, and one that is not."""
    collection, draw = Collection(), random.Random(seed)
    out = []
    for claim in claims(collection):
        if claim.kind == "quoted" and claim.language == "en" and draw.random() > QUOTED_SHARE:
            continue
        found = tuple(page for page in collection.found(claim.question) if page.text != claim.page.text)
        group = claim.page.url
        read = (claim.page, *found)[:READ]
        true = Pair(claim.text, claim.page, True, claim.kind, claim.language, group, claim.question, read)
        out += [true, *spoilt(claim, true, found, draw)]
    return out


def crossed(seed: int = 1) -> list[Pair]:
    """Make the pairs whose page is in the other language: of questions that are asked in both over the same text."""
    collection, draw = Collection(), random.Random(seed)
    rows = [row for row in _rows("questions.jsonl") if row["set"] in TRANSLATED]
    other_of = {(row["lang"], row["question"]): row["question_other"] for row in rows}
    page_of = {row["question"]: collection.by_id[row["evidence"][0]["doc_id"]] for row in rows}
    out = []
    for claim in claims(collection):
        other = other_of.get((claim.language, claim.question), "")
        if other not in page_of:
            continue
        found = tuple(page for page in collection.found(other) if page.text != page_of[other].text)
        read = (page_of[other], *found)[:READ]
        true = Pair(claim.text, read[0], True, claim.kind, claim.language, read[0].url, other, read)
        own = tuple(page for page in collection.found(claim.question) if page.text != claim.page.text)
        # Its names and halves come from pages in its own language, its other page from those in the other.
        untrue = [pair for pair in spoilt(claim, true, own, draw) if pair.kind != "another page"]
        foreign = (page for page in read[1:6] if page.language != claim.language)
        others = [replace(true, page=page, supported=False, kind="another page") for page in foreign]
        out += [true, *(untrue or [draw.choice(others)])]
    return out


def claims(collection: Collection) -> Iterator[Claim]:
    """Read the true claims."""
    for row in _rows("questions.jsonl"):
        if row["set"] not in SETS or not row["answerable"]:
            continue
        for piece in row["evidence"]:
            page = collection.by_id[piece["doc_id"]]
            if 30 <= len(piece["text"]) <= 400:
                yield Claim(piece["text"], "quoted", page, piece["text"], row["lang"], row["question"])
        page = collection.by_id[row["evidence"][0]["doc_id"]]
        evidence = " ".join(piece["text"] for piece in row["evidence"])
        if row["set"] in ("rurag", "xquad_ru", "xquad_en") and (said := _answered(row["question"], row["answers"][0])):
            yield Claim(said, "answered", page, evidence, row["lang"], row["question"], row["answers"][0])
        hops = [piece["hop_answer"] for piece in row["evidence"]] if row["set"] == "musique" else []
        for piece in row["evidence"] if hops else ():
            if said := _answered(_written_out(piece["hop_question"], hops), piece["hop_answer"]):
                page = collection.by_id[piece["doc_id"]]
                yield Claim(said, "answered", page, piece["text"], "en", row["question"], piece["hop_answer"])
        if row["set"] == "clapnq":
            for sentence in _sentences(row["answers"][0]):
                yield Claim(sentence, "written", page, evidence, "en", row["question"])


def _written_out(question: str, hops: Sequence[str]) -> str:
    """Name the answers of earlier hops, for which a question has their numbers."""
    return re.sub(r"#(\d)", lambda number: hops[int(number[1]) - 1], question)


def _rows(name: str) -> Iterator[dict[str, Any]]:
    with (QA / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _sentences(text: str) -> list[str]:
    text = re.sub(r"\s+", " ", text)
    return [piece for match in SENTENCE.finditer(text) if 30 <= len(piece := match[0].strip()) <= 400]


def _answered(question: str, answer: str) -> str | None:
    """Put an answer in the place of what a question asks for."""
    said, times = WH.subn(f"{answer} ", question.strip().rstrip("?"), count=1)
    return None if not times else re.sub(r"\s+", " ", said).strip() + "."


def spoilt(claim: Claim, true: Pair, found: Sequence[Document], draw: random.Random) -> list[Pair]:
    """Make one untrue pair of a claim, in a way that it allows."""
    ways: list[tuple[str, Callable[[], str | None]]] = [
        ("another number", lambda: another_number(claim, draw)),
        ("another date", lambda: another_date(claim, draw)),
        ("another name", lambda: another_name(claim, found, draw)),
        ("negated", lambda: negated(claim)),
        ("half true", lambda: half_true(claim, found, draw)),
        ("another page", lambda: claim.text),
    ]
    draw.shuffle(ways)
    for kind, way in ways:
        said = way()
        if said is None:
            continue
        if kind != "another page":
            if said != claim.text:
                return [replace(true, claim=said, supported=False, kind=kind)]
        elif others := [page for page in found[:5] if not _says(page, claim)]:
            return [replace(true, page=draw.choice(others), supported=False, kind=kind)]
    return []


def _says(page: Document, claim: Claim) -> bool:
    """Tell whether another page may well say the same."""
    answered = claim.answer.casefold() in page.text.casefold() if claim.answer else False
    return answered or claim.evidence in page.text or page.title == claim.page.title


def another_number(claim: Claim, draw: random.Random) -> str | None:
    """Change a number that is no year: into another of the page, or into one that it does not have."""
    numbers = [match for match in NUMBER.finditer(claim.text) if not YEAR.fullmatch(match[0])]
    if not numbers:
        return None
    number = draw.choice(numbers)
    others = sorted(
        {each for each in NUMBER.findall(claim.page.text) if not YEAR.fullmatch(each)}
        - set(NUMBER.findall(claim.evidence))
    )
    new = draw.choice(others) if others and draw.random() < 0.5 else _changed(number[0], draw)
    return claim.text[: number.start()] + new + claim.text[number.end() :]


def _changed(number: str, draw: random.Random) -> str:
    place = draw.choice([i for i, digit in enumerate(number) if digit.isdigit()])
    return number[:place] + draw.choice("123456789".replace(number[place], "")) + number[place + 1 :]


def another_date(claim: Claim, draw: random.Random) -> str | None:
    """Shift a year, or take another month."""
    if years := list(YEAR.finditer(claim.text)):
        year = draw.choice(years)
        return (
            claim.text[: year.start()]
            + str(int(year[0]) + draw.choice((-10, -3, -1, 1, 2, 7, 30)))
            + claim.text[year.end() :]
        )
    for names in MONTHS:
        for month in names:
            if re.search(rf"\d.{{0,3}}\b{month}\b|\b{month}\b \d", claim.text):
                return claim.text.replace(month, draw.choice([each for each in names if each != month]), 1)
    return None


def another_name(claim: Claim, found: Sequence[Document], draw: random.Random) -> str | None:
    """Take another name: of the same page, or of another that was found."""
    names = list(NAME.finditer(claim.text))
    if not names:
        return None
    name = draw.choice(names)
    pages = [claim.page] if draw.random() < 0.5 else list(found[:5])
    kept = set(claim.evidence.casefold().split()) | set(claim.text.casefold().split())
    size = len(name[0].split())
    others = sorted({each for page in pages for each in _names(page.text) if len(each.split()) == size})
    others = [each for each in others if not set(each.casefold().split()) & kept and not _cognate(each, name[0])]
    return None if not others else claim.text[: name.start()] + draw.choice(others) + claim.text[name.end() :]


@cache
def _names(text: str) -> frozenset[str]:
    """Find names. A capital alone does not make one: what is also written small only began a sentence or a title."""
    text = text[:NAMED_CHARS]
    small = set(re.findall(r"\b[a-zа-яё]+\b", text))
    return frozenset(name for name in NAME.findall(text) if not set(name.lower().split()) & small)


def _cognate(one: str, other: str) -> bool:
    return one[:4].casefold() == other[:4].casefold()


def negated(claim: Claim) -> str | None:
    """Negate the verb; a claim that is negated already is left alone."""
    if re.search(r"\b(?:not|no|never|не|нет|ни|никогда)\b|n't", claim.text, re.IGNORECASE):
        return None
    if claim.language == "ru":
        if "—" in claim.text and " — " in claim.text:
            return claim.text.replace(" — ", " — не ", 1)
        verb = RUSSIAN_VERB.search(claim.text)
        return None if verb is None else f"{claim.text[: verb.start()]}не {claim.text[verb.start() :]}"
    verb = AUXILIARY.search(claim.text)
    return None if verb is None else f"{claim.text[: verb.end()]} not{claim.text[verb.end() :]}"


def half_true(claim: Claim, found: Sequence[Document], draw: random.Random) -> str | None:
    """Add to a claim what another page says."""
    others = [sentence for page in found[:8] for sentence in _sentences(page.text[:3_000]) if len(sentence) < 200]
    if not others or len(claim.text) > 250:
        return None
    other = draw.choice(others)
    joint = " и " if claim.language == "ru" else " and "
    return claim.text.rstrip(" .") + "," + joint + other[0].lower() + other[1:]


def in_half(pair: Pair, half: int) -> bool:
    """Tell whether a pair is in one half of all (0 or 1); what is made of the same page is in the same."""
    return hashlib.sha256(pair.group.encode()).digest()[0] % 2 == half


def evidences(made: Sequence[Pair]) -> Iterator[tuple[Pair, Evidence]]:
    """Give each pair with the passages that rank first for its question, taken apart once for all pairs of one."""
    known: tuple[str, tuple[Document, ...]] | None = None
    evidence = Evidence((), "en")
    for pair in made:
        if (pair.question, pair.found) != known:
            known, evidence = (pair.question, pair.found), Evidence(ranked(pair), pair.language)
        yield pair, evidence


def ranked(pair: Pair) -> list[Passage]:
    """Rank the passages of the pages that were read, as without an embedder; the first of each page is there too."""
    passages = [passage for page in pair.found for passage in chunk(page, ChunkLimits())]
    first = [row.passage for row in rank([pair.question], passages, None, RankLimits(), pair.language).passages]
    return [*first, *(passage for passage in passages if passage.start == 0)]
