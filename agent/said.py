"""Takes a sentence apart: the stems of its words, and which of them are names, numbers and negated. Pure.

What can be written in several ways is brought to one: dates, thousands and millions, small numbers in words.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from retrieval.words import WORD, stem

# More forms than the pages of a question have.
WORDS_REMEMBERED: Final = 200_000

DATE: Final = re.compile(r"(?<![\d.])(?:(\d{1,2})\.(\d{1,2})\.(\d{4})|(\d{4})-(\d\d)-(\d\d))(?![\d.]*\d)")
ENGLISH_MONTHS: Final = "January February March April May June July August September October November December".split()  # noqa: SIM905
# Their stems, and the ends that they take.
RUSSIAN_MONTHS: Final = "январ феврал март апрел ма июн июл август сентябр октябр ноябр декабр".split()  # noqa: SIM905
RUSSIAN_ENDS: Final = ("", "а", "я", "ь", "е", "ю", "й", "ем", "ём", "ом")
MONTHS: Final = {
    **{name: number for number, month in enumerate(ENGLISH_MONTHS, 1) for name in (month, month[:3])},
    **{stem_ + end: number for number, stem_ in enumerate(RUSSIAN_MONTHS, 1) for end in RUSSIAN_ENDS},
    "Sept": 9,
}
# Begins the term of a month, with a space, which no other term has.
MONTH: Final = "month"
SEPARATED: Final = re.compile(r"(?<![\d.,])[1-9]\d{0,2}([,'\u00a0\u202f\u2009 ])\d{3}(?:\1\d{3})*+(?!\d)")
# A point may be a decimal one: where it stands before three figures once, it is that outside of these.
POINTED: Final = re.compile(r"(?<![\d.,])[1-9]\d{0,2}\.\d{3}(?:\.\d{3})++(?!\d)")
POINTED_ONCE: Final = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})++(?![\d.,]*\d)")
POINT_LANGUAGES: Final = frozenset({"de", "es", "it", "pt", "nl", "tr", "id", "el", "da"})
SCALED: Final = re.compile(
    r"(?<![\d.,])(\d{1,6}(?:[.,]\d{1,3})?)[\s\u00a0]{0,2}(?:(thousand|тыс)|(million|mln|миллион|млн)"
    r"|(billion|bn|миллиард|млрд)|(trillion|трлн|триллион))\w{0,3}\b",
    re.IGNORECASE,
)
SCALE_DIGITS: Final = 3
NUMBER: Final = re.compile(r"(?:(?<![\w.,)\]])[-\u2212])?\d+(?:[.,]\d+)?")
NUMBER_WORDS: Final = {
    word: str(number)
    for number, words in enumerate(
        (
            "two два две двое двух двумя двум", "three три трое трёх трех тремя трём трем",
            "four четыре четверо четырёх четырех", "five пять пяти пятью", "six шесть шести", "seven семь семи",
            "eight восемь восьми", "nine девять девяти", "ten десять десяти", "eleven одиннадцать", "twelve двенадцать",
        ),
        2,
    )
    for word in words.split()
}  # fmt: skip
# A command, a function, a module: as exact as a name.
CODE: Final = re.compile(r"`+([^`\n]+)`")
DIGIT: Final = re.compile(r"\d")
APOSTROPHES: Final = frozenset("'’")
CONTRACTED: Final = re.compile(r"\b\w+n['’]t\b")
NEGATIONS: Final = frozenset(
    "not no never none nor neither cannot without nobody nothing nowhere hardly "  # noqa: SIM905
    "не нет ни никогда без нельзя никто никого ничто ничего нигде никак".split()
)
# Words that say nothing of a sentence's matter.
FUNCTION_WORDS: Final = frozenset(
    "a an the of in on at to for by with from and or is was were are be been being has have had do does did it its "  # noqa: SIM905
    "this that these those he she they his her their as which who whom whose will would can could may might into than "
    "then there also but if so such about over under after before during between t s "
    "и в во на с со к ко по о об от до из за у для при что как это его её их он она они оно но а же бы ли или то так "
    "также был была было были быть есть который которая которое которые которого которой которых которым этот эта эти "
    "того том тем своей своего свой".split()
)

Kind = Literal["word", "name", "number", "negation", "function"]


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, or a claim: its terms (stems, and numbers) in their order, and which of them are what.

    `marked` are the places of names and numbers among the terms; `negated` are terms right after a negation.
    """

    start: int
    end: int
    terms: tuple[str, ...]
    numbers: frozenset[str]
    names: frozenset[str]
    marked: tuple[int, ...]
    negated: frozenset[str]
    negative: bool


def said(text: str, language: str, start: int = 0, end: int = 0) -> Said:
    """Take a sentence apart."""
    text = normal(text, language)
    terms: list[str] = []
    marked: list[int] = []
    names: list[str] = []
    negated: list[str] = []
    numbers: set[str] = set()
    negation, negative = False, False
    words = WORD.findall(text)
    # A capital begins every sentence: its first word is a name where another name follows.
    named = len(words) > 1 and words[1][0].isupper()
    code = frozenset(WORD.findall(" ".join(CODE.findall(text))) if "`" in text else ())
    for place, word in enumerate(words):
        kind, term = _judged(word, language)
        if kind == "negation":
            negation = negative = True
        if not term:
            continue
        is_name = (kind == "name" and (place > 0 or named)) or (kind in ("name", "word") and word in code)
        if is_name or kind == "number":
            marked.append(len(terms))
        if is_name:
            names.append(term)
        if kind == "number" and not word.isdigit():
            numbers.add(term)
        if negation:
            negated.append(term)
            negation = False
        terms.append(term)
    numbers.update(map(_plain, NUMBER.findall(text)))
    return Said(
        start, end, tuple(terms), frozenset(numbers), frozenset(names), tuple(marked), frozenset(negated), negative
    )


def is_month(term: str) -> bool:
    """Tell whether a term is that of a month, which is the same in all languages."""
    return term.startswith(f"{MONTH} ")


def normal(text: str, language: str) -> str:
    """Bring what can be written in several ways to one."""
    text = text.replace("\u0301", "")
    if not APOSTROPHES.isdisjoint(text):
        text = CONTRACTED.sub("not", text)
    if not DIGIT.search(text):
        return text
    text = SEPARATED.sub(lambda number: number[0].replace(number[1], ""), DATE.sub(_date, text))
    points = POINTED_ONCE if language in POINT_LANGUAGES else POINTED
    return SCALED.sub(_scaled, points.sub(lambda number: number[0].replace(".", ""), text))


def _date(found: re.Match[str]) -> str:
    day, month, year = (found[1], found[2], found[3]) if found[1] else (found[6], found[5], found[4])
    named = 1 <= int(month) <= len(ENGLISH_MONTHS)
    return f"{day} {ENGLISH_MONTHS[int(month) - 1]} {year}" if named else found[0]


def _scaled(found: re.Match[str]) -> str:
    """Write a number with a word for thousands or more in figures."""
    groups = next(place for place in range(2, 6) if found[place]) - 1
    whole, _, part = found[1].replace(",", ".").partition(".")
    return f"{int(whole + part.ljust(groups * SCALE_DIGITS, '0')[: groups * SCALE_DIGITS])}"


def _plain(number: str) -> str:
    sign = "-" if number[0] in "-\u2212" else ""
    whole, point, part = number.lstrip("-\u2212").replace(",", ".").partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point}{part}"


@lru_cache(WORDS_REMEMBERED)
def _judged(word: str, language: str) -> tuple[Kind, str]:
    """Tell what a word is, and its term, which is empty for words that say nothing of a matter."""
    small = word.lower()
    if small in NUMBER_WORDS or word.isdigit():
        return "number", NUMBER_WORDS.get(small) or word.lstrip("0") or "0"
    if small in NEGATIONS:
        return "negation", ""
    if word in MONTHS or (small in MONTHS and small != "may"):
        return "name", f"{MONTH} {MONTHS.get(word) or MONTHS[small]}"
    if small in FUNCTION_WORDS:
        return "function", ""
    return ("name" if word[0].isupper() else "word"), stem(small, language)
