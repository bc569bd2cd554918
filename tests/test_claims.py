import re
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.claims import claim

MARK = re.compile(r"\[\d\]")


def marked(text):
    """List the claim of each mark; marks that stand together share theirs."""
    pieces = MARK.split(text)
    befores = list(accumulate(pieces))
    out, since, last = [], 0, 0
    for before, after in zip(befores[:-1], (befores[-1][len(before) :] for before in befores[:-1]), strict=True):
        since, last = (last, len(before)) if len(before) > last else (since, last)
        out.append(claim(before, after, since, final=True))
    return out


def unhurried(before, after, since):
    """Return the claim as soon as it is told, with the text after the mark coming letter by letter."""
    told = (claim(before, after[:length], since, final=False) for length in range(len(after) + 1))
    return next((one for one in told if one is not None), claim(before, after, since, final=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The tower is tall. It is 300 m high [1].", ["It is 300 m high"]),
        ("The tower is tall. It is 300 m high. [1]", ["It is 300 m high."]),
        ("The tower is 300 m high [1][2].", ["The tower is 300 m high"] * 2),
        (
            "It opened in the year 1889 [1], and was painted brown in 1968 [2].",
            ["It opened in the year 1889", ", and was painted brown in 1968"],
        ),
        ("According to [1] the tower is 300 m high. It is old.", ["According to the tower is 300 m high."]),
        ("[1] says that the tower is high.", ["says that the tower is high."]),
        ("- **Height**: it is 300 m [1]\n- Age: it is old now [2]", ["Height: it is 300 m", "Age: it is old now"]),
        ("# Tower\n\nБашня построена в 1889 году [1]. Да.", ["Башня построена в 1889 году"]),
        ("It is high.[1] It is very old.[2]", ["It is high.", "It is very old."]),
        ("Sources:\n[1] Foo title one\n[2] Baz title two", ["Foo title one", "Baz title two"]),
        ("“It is very high.” [1]", ["“It is very high.”"]),
        ("Call json_tools.load_all first [1].", ["Call json_tools.load_all first"]),
        ("Yes [1].", ["Yes ."]),
        ("[1]", [""]),
    ],
)
def test_a_mark_vouches_for_what_it_stands_behind(text, expected):
    assert marked(text) == expected


@given(st.lists(st.sampled_from(["[1]", "[2]", "word", " ", ".", "\n", "- ", "**", "слово", "。", '"'])).map("".join))
def test_every_mark_has_a_claim_of_the_text_without_marks(text):
    found = marked(text)

    assert len(found) == len(MARK.findall(text))
    assert not any(MARK.search(claim) for claim in found)
    words = MARK.sub("", text).replace("**", "")
    assert all(word in words for claim in found for word in claim.split())


TEXT = st.lists(
    st.sampled_from(
        ["word", "three short words", " ", ".", "\n", "\n\n", "- ", "1. ", "**", "слово", "。", '"', "?", "5"]
    )
).map("".join)


@given(TEXT, TEXT, st.integers(0, 200))
def test_what_is_told_early_stays_true(before, after, since):
    since = min(since, len(before))

    assert unhurried(before, after, since) == claim(before, after, since, final=True)


@given(TEXT)
def test_a_mark_waits_for_the_end_of_its_sentence_at_most(before):
    after = " and so it is. Then comes more"

    assert claim(before, after, 0, final=False) is not None


@pytest.mark.parametrize("run", [".", "\n", " ", "a", "[1]", "- ", "1"])
def test_a_long_run_is_read_in_a_moment(run):
    text = f"A claim is here [1] {run * 30_000} x" if run != "[1]" else run * 1_000

    assert marked(text)[0] == ("A claim is here" if run != "[1]" else "")
