"""Keeps a small model on its way: a thought of one line, then sentences that cite what the thought rests on. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.types import Message
from retrieval.words import score

WEBPAGE: Final = re.compile(r"\[webpage (\d+) begin\]\n(.*?)\n\[webpage \1 end\]", re.DOTALL)
CYRILLIC: Final = re.compile(r"[а-яё]", re.IGNORECASE)
NUMBER: Final = re.compile(r"\d{2,}")
THOUSANDS: Final = re.compile(r"(?<=\d)[\s,.](?=\d{3}(?!\d))")
LANGUAGE_CHARS: Final = 200
"""The question stands at the end of the prompt; this much of it tells the language."""

SUPPORT_SHARE: Final = 0.8
"""A webpage that shares nearly as much with the thought as the best one may be cited too."""

NOT_FIRST: Final = ("Web", "Страни")
NO_ANSWER: Final = (
    "The webpages do not", "None of the webpages", "На страницах нет ответа", "Ни одна страница не", "Страницы не ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """The frame of a reply. `before` and `opening` begin the thought, `opening` is part of it.

    `sources` holds the text of every numbered webpage in the prompt, `told` all numbers that stand in the prompt.
    """

    before: str = "<think>\n"
    opening: str = ""
    stop: tuple[str, ...] = ("</think>",)
    after: str = "\n</think>\n\n"
    sources: Mapping[int, str] = field(default_factory=dict)
    told: frozenset[str] = frozenset()


def shape_of(messages: tuple[Message, ...]) -> Shape:
    """Shape the answer where the last message holds numbered webpages; leave it free elsewhere.

    There the thought is the first line of a plain reply: behind think tags, which it never learned, this model goes on
    thinking. One line, because after it the model copies out the sources. It ends before a mark: a model of this size
    knows what it has read, but not under which number.
    """
    text = messages[-1].content
    sources = {int(number): page for number, page in WEBPAGE.findall(text)}
    if not sources:
        return Shape()
    russian = CYRILLIC.search(text[-LANGUAGE_CHARS:]) is not None
    # In Russian the model says of anything that it is not there, unless it is begun for it.
    opening, answer = ("На страницах сказано, что", "Ответ") if russian else ("The webpages", "Answer")
    return Shape("", opening, ("\n", " ["), f"\n\n{answer}:", sources, _numbers(text))


def marks_allowed(thought: str, shape: Shape) -> tuple[int, ...]:
    """Return the webpages whose words the thought took up (BM25), or all where it took up none.

    None at all for a thought with a year or a figure that was nowhere to be read: it was made up.
    """
    if not _numbers(thought) <= shape.told:
        return ()
    found = score([thought], list(shape.sources.values()), "en")[0]
    best = float(found.max())
    return tuple(
        number for number, support in zip(shape.sources, found, strict=True) if support >= SUPPORT_SHARE * best
    )


def _numbers(text: str) -> frozenset[str]:
    return frozenset(NUMBER.findall(THOUSANDS.sub("", text)))


def answer_grammar(marks: tuple[int, ...]) -> str:
    """Write the GBNF of an answer: sentences that end with some of the marks, or a refusal; without marks only that.

    One full stop inside a sentence is let through, because it may end an abbreviation. No colon near the beginning,
    because what the model begins with "Answer:" it ends with a bare mark; and no "Webpage" as the first word, because
    then it goes on about the next page instead of answering.
    """
    numbers = " | ".join(f'"{number}"' for number in marks) or '"-"'
    cited = ' | sentence (" " sentence)? (" " sentence)?' if marks else ""
    refusals = " | ".join(f'"{words}"' for words in NO_ANSWER)
    return rf"""root ::= " "? answer
answer ::= none clause (stop " " clause)? stop?{cited}
none ::= {refusals}
sentence ::= head clause (stop " " clause)? stop? " "? mark mark? "."?
head ::= ({_beginnings()}) [^\[\]\n\r\t*#:!?]{{8,23}}
clause ::= char+
char ::= [^\[\].!?\n\r\t*#] | [.!?] [^ \[\]\n\r\t]
stop ::= [.!?]
mark ::= "[" ({numbers}) "]"
"""


def _beginnings() -> str:
    """Write what an answer may begin with: anything that leaves the unwanted first words at some letter."""
    starts = sorted({words[:end] for words in NOT_FIRST for end in range(len(words))})
    return " | ".join(
        rf'"{start}" [^{"".join(sorted({words[len(start)] for words in NOT_FIRST if words.startswith(start)}))}'
        rf"\[\]\n\r\t*#.!?: ]"
        for start in starts
    )
