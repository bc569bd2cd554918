"""Which texts are taken for copies of each other."""

import random

from hypothesis import given
from hypothesis import strategies as st

from retrieval.near_duplicates import LEAST_WORDS, sketch

LETTERS = st.integers(0, 2**32 - 1)


def article(seed: int, words: int = 600) -> list[str]:
    dice = random.Random(seed)
    return ["".join(dice.choices("abcdefghijklmnop", k=dice.randint(3, 9))) for _ in range(words)]


def same(one: list[str], other: list[str]) -> bool:
    first, second = sketch(" ".join(one)), sketch(" ".join(other))
    assert first.same(second) == second.same(first)
    return first.same(second)


@given(LETTERS)
def test_a_text_is_a_copy_of_itself_whatever_its_spaces_and_case(seed):
    words = article(seed, 300)
    assert sketch(" ".join(words)).same(sketch("\n\n".join(words).upper()))


@given(LETTERS)
def test_two_texts_are_no_copies(seed):
    assert not same(article(seed), article(seed + 1))


@given(LETTERS)
def test_a_mirror_with_a_line_of_its_own_is_a_copy(seed):
    words = article(seed)
    assert same(words, [*article(seed + 1, 12), *words, *article(seed + 2, 12)])


@given(LETTERS)
def test_an_article_that_quotes_another_in_full_is_none(seed):
    quoted = article(seed, 300)
    assert not same(quoted, [*article(seed + 1, 300), *quoted])


@given(LETTERS)
def test_articles_that_share_a_footer_are_no_copies(seed):
    footer = article(seed + 2, 100)
    assert not same([*article(seed, 400), *footer], [*article(seed + 1, 400), *footer])


def test_a_short_text_is_a_copy_only_to_the_letter():
    words = article(1, LEAST_WORDS - 1)
    assert same(words, words)
    assert not same(words, [*words[:-1], "other"])
    assert not same(["one"], article(1))


def test_writing_without_spaces_has_copies_too():
    dice = random.Random(1)
    text = "".join(chr(dice.randint(0x4E00, 0x9000)) for _ in range(600))
    other = "".join(chr(dice.randint(0x4E00, 0x9000)) for _ in range(600))
    assert sketch(text).same(sketch(text[:590]))
    assert not sketch(text).same(sketch(other))
