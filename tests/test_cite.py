import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.cite import CitationReader
from agent.types import Source
from retrieval.types import Document, Passage, Ranked


def source(number: int) -> Source:
    document = Document(f"https://example.org/{number}_(page)", f"Title {number}", "Some text.", "example.org")
    return Source(number, document, (Ranked(Passage(document, 0, 10), 1.0, 1.0),))


SOURCES = tuple(source(number) for number in range(1, 6))


def read(text: str, style="numeric", cuts=()):
    reader = CitationReader(SOURCES, style)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown = [reader.feed(text[a:b]) for a, b in pairwise(places)]
    return "".join(shown) + reader.flush(), reader


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("A [3].", "A [1]."),
        ("A [citation:3].", "A [1]."),
        ("A [webpage 3].", "A [1]."),
        ("A 【3】.", "A [1]."),
        ("A [[3]](https://elsewhere.net/x).", "A [1]."),
        ("A [3](https://elsewhere.net/x).", "A [1]."),
        ("A [3][5].", "A [1][2]."),
        ("A [3, 5].", "A [1][2]."),
        ("A [citation:3, citation:5].", "A [1][2]."),
        ("A [3]. B [5]. C [3].", "A [1]. B [2]. C [1]."),
        ("A [9].", "A."),
        ("A [9] b [9]c [9] [9].", "A b c."),
        ("A. [9]. B [9]!", "A. B!"),
        ("A ([9]). B ([8], [9]) c ( [9] ) d.", "A. B c d."),
        ("A ([9] and b) ([9], [2])", "A (and b) ([1])"),
        ("A [9], b [9]; [8], c [9], [3].", "A, b, c [1]."),
        ("A [9]  \nb", "A  \nb"),
        ("from [0, 1] to x[0]", "from [0, 1] to x[0]"),
        ("~~~\nrows[1]\n~~~\n[2]", "~~~\nrows[1]\n~~~\n[1]"),
        ("call f( x ) and (", "call f( x ) and ("),
        ("A. [9]", "A."),
        ("[9] A [9][2] b [3][9].", "A [1] b [2]."),
        ("- [9] A  \n  b [9]", "- A  \n  b"),
        ("A [note] and [x].", "A [note] and [x]."),
        ("`rows[1]` and [2]", "`rows[1]` and [1]"),
        ("```\nrows[1]\n```\n[2]", "```\nrows[1]\n```\n[1]"),
        ("an open ` tick\n\nthen [2]", "an open ` tick\n\nthen [1]"),
        ("ends in [", "ends in ["),
        ("ends in [4", "ends in [4"),
    ],
)
def test_marks(said, shown):
    assert read(said)[0] == shown


def test_links_hold_the_url_and_spans_are_the_marks():
    text, reader = read("One [2]. Two 😀 [4][2].", "link")
    assert text == reader.text
    for annotation in reader.annotations:
        mark = text[annotation.start : annotation.end]
        assert re.fullmatch(r"\[\[\d\]\]\(https://example\.org/\d_%28page%29\)", mark)
        assert annotation.url in mark
    assert [cited.title for cited in reader.cited.values()] == ["Title 2", "Title 4"]


def test_unknown_marks_are_dropped_and_counted():
    _, reader = read("A [7]. B [8]. C [2].")
    assert reader.unknown == 2
    assert list(reader.cited) == [source(2).document.url]


PIECES = st.lists(
    st.sampled_from(
        [
            "[",
            "]",
            "[1]",
            "[2][3]",
            "【4】",
            "citation:",
            "3",
            ", ",
            "`",
            "```",
            "~~~",
            "(",
            ")",
            " ",
            ".",
            "[9]",
            "\n\n",
            "(https://a.b/c)",
            "(www.a.b)",
            "text ",
            "[[5]]",
        ]
    ),
    max_size=25,
).map("".join)


@given(PIECES, st.lists(st.integers(0, 80), max_size=6))
@example("an open ` tick\n\n[[5]]", [15])  # the cut is inside the blank line that closes the code span
def test_cutting_the_stream_anywhere_changes_nothing(text, cuts):
    whole, reader = read(text, "link")
    cut, other = read(text, "link", cuts)
    assert cut == whole
    assert other.annotations == reader.annotations
    assert other.unknown == reader.unknown


@given(PIECES)
def test_every_annotation_is_a_known_source_in_order_of_appearance(text):
    shown, reader = read(text)
    assert set(reader.cited) <= {source.document.url for source in SOURCES}
    numbers = [int(shown[a.start : a.end].strip("[]")) for a in reader.annotations]
    firsts = list(dict.fromkeys(numbers))
    assert firsts == list(range(1, len(firsts) + 1))
