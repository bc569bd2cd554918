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
SHOWN = "https://good.example/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0?x=1"
CASES = (
    ("See ![licence](https://evil.example/a.png?q=secret).", f"See ![licence] {GONE}."),
    ("[Click](https://evil.example/?q=secret) here", f"[Click] {GONE} here"),
    ("[Click](<https://evil.example/?q=a b> 'title') here", f"[Click] (&lt;{GONE} b> 'title') here"),
    ("[Click](https://evil.example/?q=1 \"title\") here", '[Click] (link removed "title") here'),
    ("[a (b)](https://evil.example/x_(y)) here", f"[a (b)] {GONE}) here"),
    ("[x](javascript:alert(1)), [z](//evil.example/q)", f"[x] (javascript:alert(1)), [z] {GONE}"),
    ("[x](/relative) and [y](mailto:a@evil.example)", "[x] (/relative) and [y] (mailto:a@evil.example)"),
    ("![a][b]\n[b]: https://evil.example/p.png?d=secret\nend", f"![a][b]\n[b] : {GONE}\nend"),
    ("![a][b]\n   [b]: //evil.example/p.png", f"![a][b]\n   [b] : {GONE}"),
    ("Go to https://evil.example/x?q=secret, now.", f"Go to {GONE}, now."),
    ("Go to www.evil.example/x or HTTP://EVIL.example.", f"Go to {GONE} or {GONE}."),
    ("(https://evil.example/x)", GONE),
    ("<https://evil.example/x>", f"&lt;{GONE}>"),
    ("<img src='https://evil.example/x'> <IMG/src=x>", f"&lt;img src='{GONE}'> &lt;IMG/src=x>"),
    ("<a href='javascript:alert(1)'>x</a>", "&lt;a href='javascript:alert(1)'>x&lt;/a>"),
    ("<script>go()</script><!-- c -->", "&lt;script>go()&lt;/script>&lt;!-- c -->"),
    ("<javascript:alert(1)>", "&lt;javascript:alert(1)>"),
    ("[[x]](javascript:alert(1))", "[[x]] (javascript:alert(1))"),
    ("[a [b] c](https://evil.example)", f"[a [b] c] {GONE}"),
    ("[https://evil.example](https://evil.example)", f"[{GONE}] {GONE}"),
    ("[page](https://good.example/страница?x=1#part)", f"[page]({SHOWN})"),
    (f"[page]({SHOWN}) {SHOWN}", f"[page]({SHOWN}) {SHOWN}"),
    ("[Note]: this, a[i](n/2), Vec<String>", "[Note] : this, a[i] (n/2), Vec<String>"),
    ("![page](https://good.example/страница?x=1)", f"![page] ({SHOWN})"),
    ("You named http://named.example/by-user.", "You named http://named.example/by-user."),
    ("Run `curl https://evil.example/x` or ``a ` [b](c)``.", "Run `curl https://evil.example/x` or ``a ` [b](c)``."),
    ("A ` alone\nand `https://evil.example/x`\n\n`www.evil.example`", f"A ` alone\nand `{GONE}`\n\n`www.evil.example`"),
    ("\\`https://evil.example/x`", f"\\`{GONE}`"),
    ("A ` alone, https://evil.example\nand [x](y)", f"A ` alone, {GONE}\nand [x] (y)"),
    ("List<String> and a < b, if x[i] (below) or f[0](1)", "List<String> and a < b, if x[i] (below) or f[0] (1)"),
    ("[1] [note] [x]: not at a line's beginning", "[1] [note] [x] : not at a line's beginning"),
    ("Wow! [note] and end!", "Wow! [note] and end!"),
    ("The https scheme, ftp and www", "The https scheme, ftp and www"),
)  # fmt: skip


SOURCE = Source(1, PAGE, (Ranked(Passage(PAGE, 0, len(PAGE.text)), 1.0, 1.0),))


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
    tree = html.document_fromstring(
        "<html><body>" + MarkdownIt("commonmark").enable("table").render(markdown) + "</body></html>"
    )
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


def answered(text, style="link", cuts=()):
    """Read a whole answer, in which marks of page 1 stay and others fall."""
    reader = CitationReader((SOURCE,), style, links=LinkReader(ALLOWED, "en"))
    places = [0, *sorted(place % (len(text) + 1) for place in cuts), len(text)]
    shown = "".join(reader.feed(text[a:b]) for a, b in pairwise(places)) + reader.flush()
    assert shown == reader.text
    assert all("[1]" in shown[each.start : each.end] for each in reader.annotations)
    return shown


ATTACKS = (
    "[1]```\nhttps://evil.example/x",
    "[a]```\n   ```\n```\nhttps://evil.example/x",
    "- a\n   ```\nb\n```\nc\n```\n![x](//evil.example/p)",
    "<pre>\n```\n</pre>\n![x](//evil.example/p.png)\n```\n",
    "<foo>\n```\n\n![x](//evil.example/p.png)\n```\n",
    "~~~ a`b\nc\n~~~\nhttps://evil.example/x\n~~~\n",
    "a ~~~ ![x](https://evil.example/p.png)", "a ```\n\n![x](//evil.example/p.png)", "- ```\n\n![x](//evil.example/p)",
    "> ```\n\n![x](//evil.example/p.png)", "```\ncode\n````\n![x](//evil.example/p.png)",
    "``` a`b\n![x](//evil.example/p.png)", "See htt[99]ps://evil.example/x?q=s", "![x][99](//evil.example/p.png)",
    "<[99]img src=//evil.example/p.png>", "www [99].evil.example", "![x][b]\n\n[b] [99]: //evil.example/p.png",
    "![1](//evil.example/p.png)", "[1](//evil.example/x)", "![x][1]\n\n[1]: //evil.example/p.png",
    "ht[](//e.example)tps://evil.example/x", "![x][](//e.example)(//evil.example/p.png)",
    "<[img src=//evil.example/p.png](//e.example)>", "[<img src=//evil.example/p.png>](https://good.example/p)",
    "[a`](http://named.example/by-user) `![x](https://evil.example/p.png)`",
    '[x](http://named.example/by-user "a" ![y](//evil.example/p.png "b")', "![x][b]\n> [b]: //evil.example/p.png",
    "![x][b]\n- [b]: //evil.example/p.png", "![x][a\nb]\n\n[a\nb]: //evil.example/p.png",
    "[x](https://evil.example&sol;@named.example/by-user)", "[x](http://SECRET@named.example/by-user?utm_term=SECRET)",
    "| a | b |\n|---|---|\n| `x | ![y](https://evil.example/p.png)` |", '<b style="background:url(//evil.example/p)">',
    "<details open ontoggle=alert(1)>", '<b title="`">![x](https://evil.example/p.png)<b title="`">',
    "<https:`>![x](https://evil.example/p.png)<https:`>", "pier[1]www.evil.example/x?q=s",
    "- a\n   ```\n![x](//evil.example/p.png)\n",
)  # fmt: skip


@pytest.mark.parametrize("style", ["link", "numeric"])
@pytest.mark.parametrize("text", ATTACKS)
def test_an_answer_leads_to_its_pages_alone(text, style):
    shown = answered(text, style)
    assert [url for url in links(shown) if "good.example" not in url and url != ALLOWED[1]] == []
    assert "<img" not in MarkdownIt("commonmark").enable("table").render(shown)
    assert "ontoggle" not in shown or "&lt;details" in shown
    assert "SECRET" not in "".join(links(shown))
    assert answered(text, style, range(len(text))) == shown


MARKED = st.one_of(
    PIECES, st.sampled_from(["[1]", "[99]", "~~~", "```", "```\n", "> ", "- ", "|", "   ", ":", "//evil.example"])
)


@given(
    st.lists(MARKED, max_size=14).map("".join),
    st.sampled_from(["link", "numeric"]),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_no_answer_leads_elsewhere(text, style, cuts):
    shown = answered(text, style, cuts)
    assert [url for url in links(shown) if "good.example" not in url] == []
    assert "<img" not in MarkdownIt("commonmark").enable("table").render(shown)


def test_blocks_of_code_stay_as_they_are():
    code = "Do this:\n\n```sh\ncurl https://evil.example/x | <b>\n  ```` not yet\n[a]: b\n```\nThen [1]."
    assert answered(code, "numeric") == code
    assert answered(code, "numeric", range(len(code))) == code
    open_block = "~~~\nhttps://evil.example"
    assert answered(open_block) == open_block


@given(st.text(alphabet="ab]){}>`:/.!\\\n hwtps", max_size=200))
def test_text_in_which_nothing_can_be_a_link_stays(text):
    assert any(begins in text for begins in ("//", "www.", "]:")) or read(text) == text


@pytest.mark.parametrize(
    "unit", ["[", "![", "`", "<", "](", "https://", "[a](", "[a]: ", "!", "[a](b ", "//a", "~~~\n"]
)
def test_long_beginnings_cost_no_more_than_their_length(unit):
    reader = LinkReader(ALLOWED, "en")
    for _ in range(20_000 // len(unit)):
        reader.feed(unit)
        assert len(reader._held) <= MAX_HELD_CHARS + len(unit)
    reader.flush()


def test_marks_of_ours_stay_and_what_is_removed_is_counted():
    reader = CitationReader((SOURCE,), links=LinkReader([PAGE.url], "ru"))
    text = "Длина 80 м [1]. ![x](https://evil.example/q) https://evil.example [источник](https://evil.example)[1]!"
    shown = "".join(map(reader.feed, text)) + reader.flush()
    mark, gone = f"[[1]]({SHOWN})", "(ссылка убрана)"

    assert shown == f"Длина 80 м {mark}. ![x] {gone} {gone} [источник] {gone}{mark}!"
    assert reader.links.removed == 3
    assert all(shown[each.start : each.end] == mark for each in reader.annotations)
