"""The country that an engine is asked to search from: the one that is wanted, else by the language of the query."""

from retrieval.types import Query

COUNTRIES = {
    "ar": "sa", "bg": "bg", "cs": "cz", "da": "dk", "de": "de", "el": "gr", "en": "us", "es": "es", "et": "ee",
    "fi": "fi", "fr": "fr", "he": "il", "hi": "in", "hr": "hr", "hu": "hu", "id": "id", "it": "it", "ja": "jp",
    "ko": "kr", "lt": "lt", "lv": "lv", "nl": "nl", "no": "no", "pl": "pl", "pt": "br", "ro": "ro", "ru": "ru",
    "sk": "sk", "sl": "si", "sv": "se", "th": "th", "tr": "tr", "uk": "ua", "vi": "vn", "zh": "cn",
}  # fmt: skip


def country(query: Query) -> str | None:
    """Return a two-letter country code in lower case; None for a language without one country to name."""
    return query.filters.country or COUNTRIES.get(query.language or "")
