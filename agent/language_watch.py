"""Watches the script of what a model writes, as it streams: R1 drifts into Chinese, small models into English. Pure.

The beginning is held back until it is long enough to judge, so that one in another language is never shown. Languages
of one script are not told apart.
"""

import re
from collections import deque
from functools import lru_cache
from typing import Final

LATIN: Final = "latin"
SCRIPTS: Final = (
    (LATIN, re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")),
    ("cyrillic", re.compile(r"[\u0400-\u052f]")),
    ("east asian", re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")),
    ("greek", re.compile(r"[\u0370-\u03ff]")),
    ("arabic", re.compile(r"[\u0600-\u06ff]")),
    ("hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("indic", re.compile(r"[\u0900-\u0dff]")),
    ("thai", re.compile(r"[\u0e00-\u0e7f]")),
)
OF_LANGUAGE: Final = {
    "ru": "cyrillic", "uk": "cyrillic", "zh": "east asian", "ja": "east asian", "ko": "east asian", "el": "greek",
    "ar": "arabic", "he": "hebrew", "hi": "indic", "th": "thai",
}  # fmt: skip
# More than a text has; every letter of every token is looked up.
LETTERS_REMEMBERED: Final = 4_096
FIRST_LETTERS, WINDOW_LETTERS = 60, 200
# Of a text with few letters, such as figures, no more than this is held back.
MOST_HELD_CHARS = 120
# A whole text that is shorter is judged from here on: under it a name alone may be the answer.
LEAST_LETTERS = 24
CODE: Final = "```"
# Names, terms and code are Latin in any language, and a quotation may be; letters of a third script are a drift sooner.
MOST_LATIN, MOST_OTHER = 0.8, 0.3
ANOTHER_LANGUAGE: Final = re.compile(
    r"(?i:translat|перевед|перевод|\bпо-[а-яё]+ски\b|\bна [а-яё]+ском\b)"
    r"|\b(?:in|into|to) (?:[A-Z][a-z]+(?:an|ese|ish|ic|ew|ch)|Hindi|Thai|Greek)\b"
)


def asks_for_another(text: str) -> bool:
    """Tell whether a question may want its answer in another language than its own."""
    return ANOTHER_LANGUAGE.search(text) is not None


@lru_cache(LETTERS_REMEMBERED)
def script_of(letter: str) -> str | None:
    """Name the script of one letter; None for what is no letter of a known one."""
    return next((name for name, letters in SCRIPTS if letters.match(letter)), None)


class LanguageWatch:
    """Lets text through as long as it is in the script of `language`, a two-letter code; None lets all through."""

    def __init__(self, language: str | None) -> None:
        self._own = None if language is None else OF_LANGUAGE.get(language, LATIN)
        self._window: deque[str] = deque(maxlen=WINDOW_LETTERS)
        self._held = ""
        self._ticks = ""
        self._in_code = False
        self._begun = False
        self.drifted = False

    def feed(self, piece: str) -> str:
        """Take a piece; return what may be shown."""
        if self._own is None:
            return piece
        self._look(piece)
        self._held += piece
        enough = len(self._window) >= FIRST_LETTERS or len(self._held) >= MOST_HELD_CHARS
        self._begun = self._begun or enough or self._in_code
        return self._judged(FIRST_LETTERS) if self._begun else ""

    def flush(self) -> str:
        """Return what was held back at the end of the stream."""
        return self._judged(LEAST_LETTERS)

    def _look(self, piece: str) -> None:
        """Note the scripts of a piece's letters, but for code, which is Latin in any language."""
        parts = (self._ticks + piece).split(CODE)
        self._ticks = parts[-1][len(parts[-1].rstrip("`")) :]
        for place, part in enumerate(parts):
            self._in_code = self._in_code != (place > 0)
            if not self._in_code:
                self._window.extend(filter(None, map(script_of, part)))

    def _judged(self, least_letters: int) -> str:
        held, self._held = self._held, ""
        self.drifted = self.drifted or (len(self._window) >= least_letters and self._is_foreign())
        return "" if self.drifted else held

    def _is_foreign(self) -> bool:
        letters, own = len(self._window), self._window.count(self._own or "")
        latin = 0 if self._own == LATIN else self._window.count(LATIN)
        return latin > MOST_LATIN * letters or letters - own - latin > MOST_OTHER * letters
