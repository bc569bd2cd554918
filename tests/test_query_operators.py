from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.engines.dates import iso_day
from retrieval.engines.operators import clipped, joined, with_sites
from retrieval.types import SearchFilters

TODAY = date(2024, 3, 10)
TEXT = st.text("abc яю\n", max_size=200)


@given(TEXT, st.integers(1, 100), st.integers(1, 20))
def test_clipped_text_is_the_beginning_in_whole_words(text, chars, words):
    kept = clipped(text, chars, words)
    assert len(kept) <= chars
    assert len(kept.split()) <= words
    assert kept == kept.strip()
    if not text.split() or len(text.split()[0]) <= chars:
        assert kept.split() == text.split()[: len(kept.split())]


@given(TEXT, TEXT, st.integers(1, 200))
def test_words_and_operators_fit(text, operators, chars):
    operators = " ".join(operators.split())
    made = joined(text, operators, chars)
    assert len(made) <= chars
    if not operators:
        assert made == clipped(text, chars)


def test_operators_stay_whole_or_away():
    filters = SearchFilters(("a.org",), ("b.org",))
    assert with_sites("pier", filters) == "pier -site:b.org site:a.org"
    assert with_sites("pier", filters, 32) == "pier -site:b.org site:a.org"
    assert with_sites("pier", filters, 20) == "pier"
    assert with_sites("pier " * 20, filters, 60) == "pier pier pier pier pier pier pier -site:b.org site:a.org"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (None, None),
        ("", None),
        ("2024-03-05", "2024-03-05"),
        ("2024-03-05T10:00:00Z", "2024-03-05"),
        ("2024-03-05 10:00", "2024-03-05"),
        ("2024-13-05", None),
        ("20240305", None),
        ("Tue, 05 Mar 2024 10:00:00 GMT", "2024-03-05"),
        ("Mar 5, 2024", "2024-03-05"),
        ("March 5, 2024", "2024-03-05"),
        ("Feb 30, 2024", None),
        ("Foo 5, 2024", None),
        ("3 days ago", "2024-03-07"),
        ("1 hour ago", "2024-03-10"),
        ("2 weeks ago", "2024-02-25"),
        ("999 years ago", "1025-11-08"),
        ("5 мар. 2024 г.", None),
        ("soon", None),
    ],
)
def test_days(text, day):
    assert iso_day(text, TODAY) == day


@given(st.text())
def test_any_text_is_a_day_or_none(text):
    found = iso_day(text, TODAY)
    assert found is None or date.fromisoformat(found).isoformat() == found


def test_the_first_day_is_the_later_one():
    assert SearchFilters().first_day(TODAY) is None
    assert SearchFilters(after="2024-01-01").first_day(TODAY) == "2024-01-01"
    assert SearchFilters(recency="week").first_day(TODAY) == "2024-03-03"
    assert SearchFilters(recency="week", after="2024-01-01").first_day(TODAY) == "2024-03-03"
    assert SearchFilters(recency="year", after="2024-01-01").first_day(TODAY) == "2024-01-01"
