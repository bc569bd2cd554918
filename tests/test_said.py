import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.said import normal, said


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("on 3 March 1921", "on 03.03.1921", "en"),
        ("on 3 Mar 1921", "on 1921-03-03", "en"),
        ("3 марта 1921 года", "03.03.1921 года", "ru"),
        ("416,000 people", "416 thousand people", "en"),
        ("1,500,000 euros", "1.5 million euros", "en"),
        ("1 520 метров", "1520 метров", "ru"),
        ("416 000 жителей", "416 тысяч жителей", "ru"),
        ("2,5 млн рублей", "2 500 000 рублей", "ru"),
        ("1.234.567 Einwohner", "1234567 Einwohner", "de"),
        ("three moons", "3 moons", "en"),
        ("двое детей", "2 детей", "ru"),
        ("It isn't open", "It is not open", "en"),
    ],
)
def test_two_ways_to_write_the_same(one, other, language):
    assert said(one, language) == said(other, language)


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("3 марта", "3 мая", "ru"),
        ("1.5 million", "1.5 billion", "en"),
        ("0.214 km", "214 km", "en"),
        ("1.234 points", "1234 points", "en"),
        ("-5 degrees", "5 degrees", "en"),
        ("It is open", "It isn't open", "en"),
    ],
)
def test_what_is_not_the_same(one, other, language):
    assert said(one, language) != said(other, language)


def test_names_numbers_and_negations_are_told():
    found = said("The Brandt Tower was not opened in May 1974, nor may it be.", "en")

    assert found.names == {"brandt", "tower", "month 5"}
    assert found.numbers == {"1974"}
    assert found.negated == {"open"}
    assert [found.terms[place] for place in found.marked] == ["brandt", "tower", "month 5", "1974"]


def test_code_is_as_exact_as_a_name():
    assert said("Use the `fileinput` module", "en").names == {"fileinput"}
    assert said("Вызовите `re.sub` один раз", "ru").names == {"re", "sub"}


@given(st.text(alphabet="0123456789.,' -−\u00a0mтыс", max_size=60), st.sampled_from(["en", "ru", "de"]))
def test_any_figures_can_be_read(text, language):
    assert all(float(number) is not None for number in said(text, language).numbers if len(number) < 20)
    assert normal(normal(text, language), language) is not None
