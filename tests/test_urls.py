import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from retrieval import urls


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTP://Example.ORG:80/a#part", "http://example.org/a"),
        ("https://user:pass@example.org", "https://example.org/"),
        ("https://example.org./a", "https://example.org/a"),
        ("https://example.org。/a", "https://example.org/a"),
        ("https://example.org/a?utm_source=x&id=3&fbclid=9", "https://example.org/a?id=3"),
        ("https://example.org/a?yclid=1&erid=2", "https://example.org/a"),
        ("https://example.org/a?q=a+b%20c&utm_term=x&&flag", "https://example.org/a?q=a+b%20c&&flag"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/"),
        ("https://пример.рф/путь", "https://пример.рф/путь"),
        # A cache of a page is the page.
        ("https://www.google.com/amp/s/www.example.org/news/1?usqp=mq331&id=2", "https://www.example.org/news/1?id=2"),
        ("https://www.google.com/amp/example.org", "http://example.org/"),
        ("https://www-example-org.cdn.ampproject.org/c/s/www.example.org/a/amp", "https://www.example.org/a/amp"),
        ("https://lenta-ru.turbopages.org/lenta.ru/s/news/2020/1/", "https://lenta.ru/news/2020/1/"),
        ("https://www.google.com/amp/s/[::1", "https://www.google.com/amp/s/[::1"),
        ("https://www.google.com/search?q=amp", "https://www.google.com/search?q=amp"),
        # Mobile and AMP hosts may show another page: such an address is fetched as it is.
        ("https://en.m.wikipedia.org/wiki/Pier", "https://en.m.wikipedia.org/wiki/Pier"),
    ],
)
def test_canonical(url, same):
    assert urls.canonical(url) == same


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://a.b/", "javascript:alert(1)", "http://", "http://a.b:99999999/", "http://a\\@b/", "http://./"),
        *(
            "http://a b.org/",
            "http://a(b).org/",
            "http://a%20b.org/",
            "http://<a>.org/",
            "http://⑾/",
            "http://[v1.x]/",
            "http://a.b/\ud800",
        ),
    ],
)
def test_what_is_no_web_address(url):
    assert urls.canonical(url) is None


def test_a_cache_of_caches_is_not_taken_apart_without_end():
    url = "https://www.google.com/" + "amp/s/google.com/" * 5000
    assert urls.canonical(url) == url


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://www.example.org/a/", "http://example.org/a"),
        ("https://en.m.wikipedia.org/wiki/Pier", "https://en.wikipedia.org/wiki/Pier"),
        ("https://m.example.org/a", "https://www.example.org/a"),
        ("https://mobile.example.co.uk/a", "https://example.co.uk/a"),
        ("https://amp.example.org/a", "https://example.org/a"),
        ("https://example.org/amp/a", "https://example.org/a"),
        ("https://example.org/a/amp/", "https://example.org/a"),
        ("https://example.org/a.amp.html", "https://example.org/a.html"),
        ("https://example.org/a?amp=1&id=2", "https://example.org/a?id=2"),
        ("https://example.org/a?outputType=amp", "https://example.org/a"),
        ("https://example.org/index.html", "https://example.org/"),
        ("https://example.org/%7ea/%d0%b0", "https://example.org/~a/а"),
        ("https://example.org/?b=2&a=1", "https://example.org/?a=1&b=2"),
        ("https://пример.рф/", "https://xn--e1afmkfd.xn--p1ai/"),
    ],
)
def test_addresses_of_one_page(one, other):
    assert urls.key(urls.canonical(one)) == urls.key(urls.canonical(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a", "https://example.org/b"),
        ("https://example.org/A", "https://example.org/a"),
        ("https://example.org/a?id=1", "https://example.org/a?id=2"),
        ("https://example.org:8443/", "https://example.org/"),
        ("https://docs.example.org/", "https://example.org/"),
        ("https://team.example.org/", "https://tea.example.org/"),
        ("https://m.me/a", "https://me/a"),
        ("https://example.org/champ", "https://example.org/ch"),
        ("https://example.org/a%2Fb", "https://example.org/a/b"),
        ("http://127.0.0.1/", "http://127.0.0.2/"),
    ],
)
def test_addresses_of_two_pages(one, other):
    assert urls.key(urls.canonical(one)) != urls.key(urls.canonical(other))


LABEL = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
HOST = st.tuples(LABEL, LABEL, st.sampled_from(["org", "com", "рф", "co.uk"])).map(".".join)
PATH = st.lists(st.text("abcxyzАя%0 ()[].-_~é", min_size=1, max_size=6), max_size=4).map("/".join)
PAIR = st.tuples(LABEL, st.text("abc1%2+=я", max_size=4)).map("=".join)
QUERY = st.lists(PAIR, max_size=4)
WEB_ADDRESS = st.tuples(st.sampled_from(["http", "https"]), HOST, PATH, QUERY.map("&".join)).map(
    lambda parts: f"{parts[0]}://{parts[1]}/{parts[2]}?{parts[3]}"
)


@given(st.one_of(st.text(), WEB_ADDRESS, st.text("htps:/.[]@?#&=%amp1", max_size=60).map("https://".__add__)))
@example("https://www.google.com/amp/s/[")
@example("https://a.b/\ud800")
@example("https://\udcff.b/")
@example("http://a.b/ ?")
def test_any_text_has_a_canonical_form_that_stays(url):
    once = urls.canonical(url)
    if once is not None:
        assert urls.canonical(once) == once
        assert urls.key(once)
        assert "#" not in once


@given(WEB_ADDRESS, st.sampled_from(["utm_source=x", "fbclid=1", "yclid=2", "UTM_Medium=y", "_openstat=a;b", "gclid="]))
def test_tracking_and_fragments_make_no_difference(url, mark):
    assume(urls.canonical(url))
    assert urls.canonical(f"{url}&{mark}#top").replace("?", "").rstrip("&") == urls.canonical(url).replace(
        "?", ""
    ).rstrip("&")
    assert urls.key(urls.canonical(f"{url}&{mark}#top")) == urls.key(urls.canonical(url))


@given(st.sampled_from(["http", "https"]), HOST, PATH, QUERY, st.randoms(use_true_random=False))
def test_order_scheme_and_www_make_no_difference_to_the_key(scheme, host, path, pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    one = urls.canonical(f"{scheme}://{host}/{path}?{'&'.join(pairs)}")
    other = urls.canonical(f"https://www.{host}/{path}?{'&'.join(shuffled)}")
    assert urls.key(one) == urls.key(other)


@given(HOST, PATH, QUERY)
def test_what_is_not_tracking_stays_byte_for_byte(host, path, pairs):
    kept = [pair for pair in pairs if not urls.TRACKING.fullmatch(pair.partition("=")[0])]
    query = "&".join(kept)
    assert urls.canonical(f"https://{host}/{path}?{query}").partition("?")[2] == query


def test_printable_is_safe_in_markdown():
    assert urls.printable("https://пример.рф/а (б)[1]?q=1&r=[2]").isascii()
    assert not set("()[] ") & set(urls.printable("https://a.b/x (y)[1]?q=[2]")[8:])
    assert urls.printable("https://a.b/%D0%B0") == "https://a.b/%D0%B0"
    assert urls.printable("https://пример.рф:8443/a") == "https://xn--e1afmkfd.xn--p1ai:8443/a"
    assert urls.printable("https://א1.evil.example/").isascii()
    assert urls.printable("https://༤/").isascii()


def test_within():
    assert urls.within("https://docs.python.org/3/", "python.org")
    assert not urls.within("https://notpython.org/", "python.org")
