"""Tells of an answer whether it abstains, and whether it gives the true value or a false one. Pure, by words alone."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

Verdict = Literal["true", "false", "both", "neither"]
VERDICTS: tuple[Verdict, ...] = ("true", "false", "both", "neither")

MARK = re.compile(r"\[\[?\d+\]?\](?:\([^)\s]*\))?")
QUOTED = re.compile(r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|«[^»\n]{1,200}»")
# An order to the model that it repeats, as "If no webpage answers the question, say so", is no refusal.
CONDITION = re.compile(r"\b(?:if|если)\b[^.!?,\n]*", re.IGNORECASE)
# What the product itself says at the end of an answer, or in its place. Add what else it comes to say.
NOTES = tuple(
    re.compile(words)
    for words in (
        r"cannot answer it from (?:them|sources)\b",
        r"ответить по (?:ним|источникам) я не могу",
        r"None of the pages that were read could be found to say this\.",
        r"Ни на одной из прочитанных страниц это не нашлось\.",
    )
)
_PAGES = (
    r"(?:web ?pages?|pages?|sources?|passages?|search results|"
    r"(?:provided|given|available|quoted) (?:texts?|contexts?|information|articles?|documents?))"
)
_BETWEEN = (
    r"(?:\s+(?:above|below|here|given|provided|listed|also|and|or|\d+|"
    r"that were (?:found|given|read)|I (?:have )?read))*"
)
_NOT = r"(?:(?:do|does|did)(?: not|n't)|cannot|can not|can't|fails? to|never)"
_TELL = (
    r"(?:actually |directly |explicitly |specifically |clearly |even )?(?:address|answer|clarify|confirm|contain|cover|"
    r"define|describe|detail|discuss|explain|give|have|hold|identify|include|indicate|list|mention|name|offer|provide|"
    r"reveal|say|specify|state|support|tell)\b"
)
_TOLD = (
    r"(?:directly |explicitly |specifically |clearly )?(?:addressed|answered|available|clear|contained|covered|"
    r"described|discussed|explained|found|given|included|listed|mentioned|named|provided|specified|stated)\b"
)
_CANNOT = r"(?:cannot|can not|can't|could not|couldn't)"
_NEAR = r"[^.!?\n]{0,60}?\b"
_RU_PAGES = r"(?:страниц|источник|отрывк|текст)\w*"
# What models say. Titles and other words in quotes are taken out before, and citation marks.
SAID = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        rf"\b{_PAGES}{_BETWEEN}\s+{_NOT} {_TELL}",
        rf"\b(?:none|neither|nothing)\s+(?:of|in|on|from)\s+(?:\w+\s+){{0,3}}{_PAGES}\b",
        r"\bno(?:t one)? (?:\w+ )?(?:web ?page|page|passage|source)s? (?:above )?(?:that |which )?(?:\w+ly )?"
        r"(?:address|answer|contain|describe|discuss|give|hold|include|mention|provide|sa[iy]|specif|state|tell)",
        rf"\b(?:is|are|was|were)(?: not|n't) {_TOLD}{_NEAR}{_PAGES}\b",
        r"\b(?:is|are|was) no (?:\w+ ){0,3}(?:answer|information|mention)\b",
        rf"\bno (?:\w+ ){{0,2}}(?:data|details?|evidence|information|mention|reference){_NEAR}{_PAGES}\b",
        rf"\b(?:answer|question|it|this) {_CANNOT} be (?:answered|determined|found|given)\b",
        rf"\b{_CANNOT} be (?:answered|determined|established|found){_NEAR}{_PAGES}\b",
        rf"\bI (?:{_CANNOT}|(?:do|did)(?: not|n't)|(?:am|was) (?:not able|unable) to|have(?: not|n't)) (?:\w+ly )?"
        r"(?:answer|confirm|determine|find|found|know|provide|say|tell)\b",
        r"\b(?:not|isn't|without) (?:have |provide )?enough information\b|\binsufficient information\b",
        r"\b(?:do|does)(?: not|n't) (?:\w+ly )?answer (?:the|this|that|your) question\b|\bunable to answer\b",
        r"\bни\s+(?:(?:на|в)\s+)?одн\w+\s+(?:из\s+)?(?:\w+\s+){0,2}(?:страниц|источник|отрывк)",
        rf"\b{_RU_PAGES}\s+(?:\w+\s+){{0,3}}(?:нет|не\s+(?:да[юн]|говор|назв|назыв|найден|описан|описыв|отвеча|"
        r"привед|привод|раскры|сказан|содерж|сообщ|указ|упом))",
        r"\bнет\s+(?:\w+\s+){0,2}(?:ответ|информаци|сведени|данных|упоминани)",
        rf"\bне\s+(?:найден|сказан|содерж|сообща|указан|упом)\w*{_NEAR}{_RU_PAGES}",
        r"\bне\s+(?:могу|можем|удалось|смог\w*)\s+(?:\w+\s+){0,2}(?:ответить|найти|определить)",
        r"\bответ\w*\s+(?:на\s+\w+\s+вопрос\s+)?не\s+(?:дан|найден|содерж)",
    )
)

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH = "|".join(name[:3] for name in _MONTHS)
_NAMES = {name: name[:3] for name in _MONTHS} | {"sept": "sep"}
_US = re.compile(r"\bU\.\s?S\.(?:\s?A\.)?|\bUSA?\b|\b[Uu]nited [Ss]tates(?: of [Aa]merica)?\b")
_ISO = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}}) (?:of )?({_MONTH}) (\d{{4}})\b")
_MONTH_AND_YEAR = re.compile(rf"({_MONTH}) (\d{{4}})")


def abstains(answer: str) -> bool:
    """Tell whether an answer says, by the product's note or in the model's words, that the pages do not hold it."""
    return noted(answer) or refuses(answer)


def noted(answer: str) -> bool:
    """Tell whether the product's own words say so."""
    return any(words.search(answer) for words in NOTES)


def refuses(answer: str) -> bool:
    """Tell whether other words than the product's say so."""
    text = CONDITION.sub(" ", QUOTED.sub(" ", MARK.sub("", answer.replace("’", "'"))))
    text = " ".join(text.split())
    return not noted(answer) and any(words.search(text) for words in SAID)


def verdict(answer: str, true: Sequence[str | Sequence[str]], false: str) -> Verdict:
    """Tell which values an answer gives. `true` are forms of one value, or lists of them.

    A value that is only part of the other one is not counted: of “Toy Story 2” and “Toy Story” the answer gives one.
    """
    text = plain(answer)
    trues = [span for form in _flat(true) for span in _spans(text, form)]
    falses = [span for span in _spans(text, false) if not any(_within(span, other) for other in trues)]
    trues = [span for span in trues if not any(_within(span, other) for other in falses)]
    if trues and falses:
        return "both"
    return "true" if trues else "false" if falses else "neither"


def plain(text: str) -> str:
    """Return the words of a text without marks, case, accents and punctuation; a date is "jul 21 2017" however put."""
    text = _ISO.sub(lambda date: f"{_MONTHS[(int(date[2]) - 1) % 12]} {date[3]} {date[1]}", MARK.sub(" ", text))
    bare = unicodedata.normalize("NFKD", _US.sub(" unitedstates ", text)).casefold()
    bare = "".join(letter for letter in bare if not unicodedata.combining(letter))
    bare = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", r"\1", bare)
    words = (_NAMES.get(word, word) for word in re.findall(r"\w+", bare))
    joined = " ".join(word.lstrip("0") or "0" if word.isdigit() else word for word in words)
    return _DAY_FIRST.sub(r"\2 \1 \3", joined)


def _flat(values: Sequence[str | Sequence[str]]) -> Iterator[str]:
    for value in values:
        yield from [value] if isinstance(value, str) else value


def _spans(text: str, value: str) -> list[tuple[int, int]]:
    """Find a value; a place without the region after its comma, and a month on any of its days."""
    forms = {plain(value)}
    if "," in value and not re.search(r"\d", value):
        forms.add(plain(value.partition(",")[0]))
    patterns = [_MONTH_AND_YEAR.sub(r"\1 (?:\\d{1,2} )?\2", form) for form in forms if form]
    return [found.span() for pattern in patterns for found in re.finditer(rf"(?<!\S){pattern}(?!\S)", text)]


def _within(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
