"""Cuts a long question into its clauses, each a query of its own. Pure.

A question that compares or joins several facts finds the pages on all of them in no one place: a search engine takes
its words together. Each clause finds its own (compare the decomposition of questions: Min et al., ACL 2019; here
without a model).
"""

import re

LONG_WORDS = 14
LEAST_WORDS = 3
JOIN = (
    r"(?:and|while|whereas|but|or|than|as well as|according to|compared to"
    r"|и|а|но|или|чем|тогда как|в то время как|по сравнению с)\s+"
)
BORDER = re.compile(rf"[,;:?!.]\s+(?:{JOIN})?|\s+{JOIN}", re.IGNORECASE)
WORD = re.compile(r"\w+")
# Words that ask and join; a clause of these alone finds nothing.
EMPTY_WORDS = """
a about an and are as at be been between but by did do does for from had has have her his how if in
into is it its no not of on or so than that the their then these this those to was were what when
where which who whom whose why with был была были было в во где для до за и из или их к как какая
какие какой когда кто ли на не о об от по при с со так то у что чтобы чья чьё чей это этот
"""
EMPTY = frozenset(EMPTY_WORDS.split())


def clauses(text: str, count: int) -> tuple[str, ...]:
    """Return up to `count` clauses of a long question, the longest first; () when it is short or has only one."""
    if len(text.split()) < LONG_WORDS:
        return ()
    said = {part.strip(): _words(part) for part in BORDER.split(text)}
    long = [part for part, words in said.items() if words >= LEAST_WORDS]
    return tuple(sorted(long, key=lambda part: -said[part])[:count]) if len(long) > 1 else ()


def _words(clause: str) -> int:
    return sum(word not in EMPTY for word in WORD.findall(clause.lower()))
