"""Reads the days that search APIs write in several ways. Pure."""

import re
from datetime import date, timedelta
from email.utils import parsedate_to_datetime

ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Mar 5, 2024
NAMED = re.compile(r"([a-z]{3})[a-z]*\.? (\d{1,2}), (\d{4})", re.IGNORECASE)
AGO = re.compile(r"(\d{1,3}) (minute|min|hour|day|week|month|year)s? ago", re.IGNORECASE)
DAYS = {"minute": 0, "min": 0, "hour": 0, "day": 1, "week": 7, "month": 30, "year": 365}


def iso_day(text: str | None, today: date) -> str | None:
    """Return a day as YYYY-MM-DD: of ISO and mail dates, and of English ones like "Mar 5, 2024" and "3 days ago"."""
    text = (text or "").strip()
    try:
        return (_iso(text) or _ago(text, today) or _named(text) or parsedate_to_datetime(text).date()).isoformat()
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> date | None:
    found = ISO_DAY.match(text)
    return date.fromisoformat(found[0]) if found else None


def _ago(text: str, today: date) -> date | None:
    found = AGO.fullmatch(text)
    return today - timedelta(days=int(found[1]) * DAYS[found[2].lower()]) if found else None


def _named(text: str) -> date | None:
    found = NAMED.fullmatch(text)
    if not found or found[1].lower() not in MONTHS:
        return None
    return date(int(found[3]), MONTHS.index(found[1].lower()) + 1, int(found[2]))
