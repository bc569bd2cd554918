"""Finds the addresses and sites that a question names. Pure."""

import re
from typing import Final

MOST_ADDRESSES: Final = 5
ADDRESS: Final = re.compile(r"https?://[^\s<>\"'«»`]+", re.IGNORECASE)
# What ends a sentence or closes a bracket around an address is not part of it.
AFTER: Final = ".,;:!?)]}*…"
# A dot stands in names of programs too ("Node.js"), so a site needs a word before it and a common ending.
SITE: Final = re.compile(
    r"\b(?:on|at|from|site|website|by|to|на|с|со|сайт[аеу]?|сайтом|по данным)[\s:]+"
    r"((?:[a-z0-9-]+\.)+(?:com|org|net|edu|gov|int|io|info|dev|ai|ru|su|ua|by|kz|de|fr|uk|it|es|pl|eu|us|cn|jp|kr|tr))\b"
    r"(?![\w./-]*\()"
)


def addresses(text: str) -> tuple[str, ...]:
    """Return the addresses in a text, each once, the first few."""
    found = (match.rstrip(AFTER) for match in ADDRESS.findall(text))
    return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]


def without_addresses(text: str) -> str:
    """Return a text without its addresses, for a search engine."""
    return ADDRESS.sub(" ", text).strip()


def sites(text: str) -> tuple[str, ...]:
    """Return the sites that a text wants to hear from, as in "on example.org"."""
    return tuple(dict.fromkeys(SITE.findall(without_addresses(text))))
