from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.chunk import chunk
from retrieval.limits import ChunkLimits
from retrieval.types import Document

LIMITS = ChunkLimits(target_chars=50, max_chars=80)
TEXTS = st.lists(
    st.sampled_from(
        ["Word ", "Слово. ", "A sentence ends. ", "\n", "\n\n", "没有空格的文字。", "x" * 70, "Why? ", "« да! » "]
    ),
    max_size=40,
).map("".join)


def passages(text: str, limits: ChunkLimits = LIMITS):
    return chunk(Document("https://a.b/", "T", text, "a.b"), limits)


@given(TEXTS)
def test_passages_cover_the_text_in_order_without_overlap(text):
    found = passages(text)
    assert "".join("".join(p.text.split()) for p in found) == "".join(text.split())
    ends = [0] + [passage.end for passage in found]
    assert all(passage.start >= end for passage, end in zip(found, ends, strict=False))


@given(TEXTS)
@example("Word " * 10 + "\n")  # what follows the last full slice is white space alone
def test_no_passage_is_empty_or_too_long(text):
    for passage in passages(text):
        assert 0 < len(passage.text) <= LIMITS.max_chars
        assert passage.text == passage.text.strip()


def test_cuts_fall_between_sentences():
    text = "The first sentence is here. The second one follows it. A third one ends the text."
    assert [passage.text[-1] for passage in passages(text)] == ["."] * len(passages(text))


def test_short_paragraphs_are_joined():
    assert len(passages("One.\n\nTwo.\n\nThree.")) == 1
