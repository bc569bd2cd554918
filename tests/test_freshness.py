import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.freshness import NAMES, conditions, renewed, terms
from retrieval.limits import CacheLimits

LIMITS = CacheLimits(
    page_least_seconds=600, page_unsaid_seconds=20_000, page_most_seconds=80_000, page_stale_seconds=1_000_000
)
MADE = "Mon, 23 Nov 2026 10:00:00 GMT"


def headers(**named: str):
    return tuple((name.replace("_", "-"), value) for name, value in named.items())


@pytest.mark.parametrize(
    ("named", "seconds"),
    [
        ({}, 20_000),
        ({"cache_control": "public"}, 20_000),
        ({"cache_control": "max-age=7200"}, 7200),
        ({"cache_control": "Max-Age = 7200"}, 7200),
        ({"cache_control": 'max-age="7200"'}, 7200),
        ({"cache_control": "max-age=7200", "age": "3000"}, 4200),
        ({"cache_control": "max-age=1, s-maxage=9000"}, 9000),
        ({"cache_control": "max-age=99999999999"}, 80_000),
        ({"cache_control": "max-age=0"}, 600),
        ({"cache_control": "max-age=soon"}, 600),
        ({"cache_control": "max-age=0, must-revalidate"}, 0),
        ({"cache_control": "max-age=7200, must-revalidate"}, 7200),
        ({"cache_control": "no-cache"}, 0),
        ({"expires": "Mon, 23 Nov 2026 12:00:00 GMT", "date": MADE}, 7200),
        ({"expires": "Mon, 23 Nov 2026 09:00:00 GMT", "date": MADE}, 600),
        ({"expires": "0", "date": MADE}, 600),
        ({"expires": MADE}, 600),
        ({"cache_control": "max-age=7200", "expires": "0"}, 7200),
        ({"cache_control": "private"}, None),
        ({"cache_control": "no-store"}, None),
        ({"cache_control": "public, max-age=60, NO-STORE"}, None),
        ({"vary": "*"}, None),
        ({"vary": "Accept-Encoding"}, 20_000),
    ],
)
def test_how_long_a_page_is_used_unasked(named, seconds):
    assert terms(headers(**named), LIMITS).fresh_seconds == seconds


def test_only_no_store_keeps_the_text_out():
    assert not terms(headers(cache_control="no-store"), LIMITS).text
    assert terms(headers(cache_control="private"), LIMITS).text


def test_a_page_that_can_be_asked_about_is_kept_longer():
    assert terms(headers(cache_control="max-age=7200"), LIMITS).keep_seconds == 7200
    assert terms(headers(cache_control="max-age=7200", etag='"a"'), LIMITS).keep_seconds == 1_007_200
    assert terms(headers(cache_control="no-cache"), LIMITS).keep_seconds == 0


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ({}, {}),
        ({"etag": '"a1"'}, {"If-None-Match": '"a1"'}),
        ({"etag": 'W/"a1"', "last_modified": MADE}, {"If-None-Match": 'W/"a1"', "If-Modified-Since": MADE}),
        ({"etag": "a1"}, {}),
        ({"etag": '"ключ"'}, {}),
        ({"etag": '"a\r\nX: y"'}, {}),
        ({"etag": '"' + "a" * 1000 + '"'}, {}),
        ({"last_modified": "yesterday\r\nX: y"}, {}),
        ({"last_modified": "вчера"}, {}),
    ],
)
def test_a_site_is_asked_only_with_what_a_header_may_hold(named, asked):
    assert conditions(headers(**named)) == asked


def test_the_new_headers_of_an_unchanged_page_count():
    old = headers(age="50", cache_control="max-age=1", date=MADE, etag='"a"')
    new = headers(cache_control="max-age=7200", last_modified=MADE)
    assert renewed(old, new) == headers(cache_control="max-age=7200", etag='"a"', last_modified=MADE)


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.from_regex(r"(max-age|no-cache|private)=?[0-9,\"]*")))
def test_any_headers_give_terms_within_the_limits(named):
    given_terms = terms(tuple(named.items()), LIMITS)
    if given_terms.fresh_seconds is not None:
        assert 0 <= given_terms.fresh_seconds <= 80_000
        assert given_terms.fresh_seconds <= given_terms.keep_seconds + 1_000_000
        assert given_terms.text
