"""How a page is cut into blocks."""

import trafilatura
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import fromstring

from retrieval.block_features import NAMES, features
from retrieval.block_weights import WEIGHTS
from retrieval.blocks import blocks


def texts(body: str) -> list[str]:
    return [block.text for block in blocks(fromstring(f"<html><body>{body}</body></html>"))]


def test_a_block_ends_where_a_paragraph_an_item_or_a_line_does():
    body = "<h1>Pier</h1>by A<p>One <b>bo</b>ld <i>word</i>.</p><ul><li>a<li>b</ul>x<br>y<div>z<p>w</p>v</div>"
    assert texts(body) == ["Pier", "by A", "One bold word.", "a", "b", "x", "y", "z", "w", "v"]


def test_what_no_browser_shows_is_no_text():
    unseen = (
        "<script>s</script><style>t</style><p hidden>u</p><p style='color:red; display : none'>v</p><!-- c -->"
        "<template><p>w</p></template><noscript>x</noscript><div style='visibility:hidden'><p>y</p><div>z</div></div>"
    )
    assert texts(f"a {unseen} b<?pi?> c") == ["a b c"]


def test_a_body_that_a_script_will_show_is_read():
    page = fromstring("<html><body style='visibility:hidden'><p>a</p></body></html>")
    assert [block.text for block in blocks(page)] == ["a"]


def test_the_share_of_links_is_by_characters():
    page = blocks(
        fromstring("<html><body><p>1234<a href=x>5678</a></p><p><a href=y>all</a></p><p>no</p></body></html>")
    )
    assert [block.link_share for block in page] == [0.5, 1.0, 0.0]


def test_code_keeps_its_lines():
    assert texts("<pre>def f():\n    return 1  \n\n\nf()</pre>") == ["def f():\n    return 1\nf()"]


def test_a_block_knows_the_elements_around_it():
    (block,) = blocks(fromstring("<html><body><div><p><span>a</span></p></div></body></html>"))
    assert [element.tag for element in block.around] == ["p", "div", "body", "html"]
    assert block.tag == "p"


PIECES = (
    *("<p>", "</p>", "<div class='comment'>", "</div>", "<table><tr><td>", "</table>", "<a href=x>", "</a>", "<br>"),
    *("<li>", "<script>", "</script>", "<p hidden>", "<!-- x -->", "Some words, and more. ", "слова.", " ", "&nbsp;"),
)
MARKUP = st.lists(st.sampled_from(PIECES), max_size=40)


@given(MARKUP)
def test_any_markup_has_blocks_with_text_and_one_row_of_finite_features_each(pieces):
    tree = trafilatura.load_html(f"<html><body>{''.join(pieces)}</body></html>")
    page = blocks(tree) if tree is not None else []
    assert all(block.text.strip() == block.text != "" and 0 <= block.link_share <= 1 for block in page)
    table = features(page)
    assert table.shape == (len(page), len(NAMES))
    assert abs(table).max(initial=0) < 1e6


@given(MARKUP)
def test_no_seen_text_is_lost(pieces):
    tree = trafilatura.load_html(f"<html><body>{''.join(p for p in pieces if 'script' not in p and 'hidden' not in p)}")
    if tree is not None:
        seen = "".join("".join(tree.itertext("*")).split())
        assert "".join("".join(block.text for block in blocks(tree)).split()) == seen


def test_every_feature_has_a_name_of_its_own_and_a_weight():
    assert len(set(NAMES)) == len(NAMES)
    assert set(WEIGHTS) == set(NAMES)
