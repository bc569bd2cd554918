import pytest

from retrieval import urls


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTP://Example.ORG:80/a#part", "http://example.org/a"),
        ("https://user:pass@example.org", "https://example.org/"),
        ("https://example.org/a?utm_source=x&id=3&fbclid=9", "https://example.org/a?id=3"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/"),
        ("https://пример.рф/путь", "https://пример.рф/путь"),
    ],
)
def test_canonical(url, same):
    assert urls.canonical(url) == same


@pytest.mark.parametrize(
    "url", ["", "ftp://a.b/", "javascript:alert(1)", "http://", "http://a.b:99999999/", "http://a\\@b/"]
)
def test_what_is_no_web_address(url):
    assert urls.canonical(url) is None


def test_two_addresses_of_one_page():
    assert urls.key("https://www.example.org/a/") == urls.key("http://example.org/a")


def test_printable_is_safe_in_markdown():
    assert urls.printable("https://пример.рф/а (б)[1]?q=1&r=[2]").isascii()
    assert not set("()[] ") & set(urls.printable("https://a.b/x (y)[1]?q=[2]")[8:])
    assert urls.printable("https://a.b/%D0%B0") == "https://a.b/%D0%B0"


def test_within():
    assert urls.within("https://docs.python.org/3/", "python.org")
    assert not urls.within("https://notpython.org/", "python.org")
