"""Tells the language of a text, as a two-letter code. Script first, statistics where the script does not tell."""

import re
from functools import cache
from typing import Any

# Languages that Snowball stems and py3langid tells apart; a short query must not come out as Latin or Welsh.
LATIN = ["da", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pl", "pt", "ro", "sv", "tr"]
SCRIPTS = (
    ("ru", re.compile(r"[а-яё]", re.IGNORECASE)),
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
LETTER = re.compile(r"[^\W\d_]")
UKRAINIAN = re.compile(r"[іїєґ]", re.IGNORECASE)
# Under so many letters statistics guess wildly, and English is the likeliest Latin query.
SURE_LETTERS = 20


def detect(text: str) -> str:
    """Return the likeliest language of a text; "en" for a short Latin one or one without letters."""
    letters = max(1, len(LETTER.findall(text)))
    for code, script in SCRIPTS:
        # Names and terms are Latin in any language, so a third of the letters is enough to tell.
        if len(script.findall(text)) * 3 >= letters:
            return "uk" if code == "ru" and UKRAINIAN.search(text) else code
    if letters < SURE_LETTERS:
        return "en"
    return str(_identifier().classify(text)[0])


def pages_in(language: str) -> str | None:
    """Return the language that pages for a query in a known one should be in; None for any.

    English is the web's own language: restricting to it would only hide pages.
    """
    return None if language == "en" else language


def to_search(text: str, asked: str) -> str | None:
    """Return the language that pages for a query should be in, its question being in `asked`; None for any.

    Of other languages in Latin letters only that of the question is believed: statistics are seldom right about six
    words with a name among them.
    """
    found = detect(text)
    return None if found in LATIN and found != asked else pages_in(found)


def prepare() -> None:
    """Load what tells languages apart. Blocks for a second; threads that needed it at once would each load it."""
    _identifier()


@cache
def _identifier() -> Any:  # noqa: ANN401  (the package is untyped)
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(LATIN)
    return identifier
