from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.disagreements import disagreements, one_sided, words_of
from agent.support import Evidence
from agent.types import Source
from retrieval.types import Document, Passage, Ranked


def sources(*texts, language="en", titles=()):
    pages = [
        Document(f"https://site{n}.example/", title, text, f"site{n}.example", None, language)
        for n, (text, title) in enumerate(zip(texts, titles or [""] * len(texts), strict=True))
    ]
    return tuple(
        Source(n, page, (Ranked(Passage(page, 0, len(page.text)), 1.0, 1.0),)) for n, page in enumerate(pages, 1)
    )


def found(question, given, language="en", answered=""):
    evidence = Evidence([source.passages[0].passage for source in given], language)
    return disagreements(question, given, evidence, answered)


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (
            "How high is the Brandt Tower?",
            "The Brandt Tower in Lindau is 214 metres high.",
            "In Lindau stands the Brandt Tower, which is 241 metres high.",
        ),
        (
            "Who designed the Brandt Tower?",
            "The Brandt Tower was designed by the engineer Irena Vold.",
            "The Brandt Tower was designed by engineer Karl Ochs in Lindau.",
        ),
        (
            "When did the Golden Globe Awards 2020 take place?",
            "The Golden Globe Awards will take place on 5 January 2020 in Los Angeles.",
            "The Golden Globe Awards will take place on May 5, 2020 in Los Angeles.",
        ),
        (
            "В каком году построен Старый мост?",
            "Старый мост был построен в 1886 году.",
            "Старый мост построен в 1868 году инженером Белелюбским.",
        ),
    ],
)
def test_two_pages_that_give_two_values(question, one, other):
    language = "ru" if question.startswith("В") else "en"
    first, *_ = found(question, sources(one, other, "Nothing of this is said here.", language=language), language)

    assert {first.one.quote, first.other.quote} == {one, other}
    assert {first.one.number, first.other.number} == {1, 2}
    assert (first.one.sites, first.other.sites) == (1, 1)


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        (
            "How high is the Brandt Tower?",
            ["The Brandt Tower is 214 metres high.", "The tower of Brandt is 214 metres high."],
        ),
        (
            "How high is the Brandt Tower?",
            ["The Brandt Tower in Lindau is 214 metres high.", "The Eiffel Tower in Paris is 330 metres high."],
        ),
        (
            "Who won the Lindau Cup in 2018?",
            ["The Lindau Cup in 2018 was won by Irena Vold.", "The Lindau Cup in 2014 was won by Karl Ochs."],
        ),
        (
            "Who won the Lindau Cup?",
            ["The Lindau Cup in 2018 was won by Irena Vold.", "The Lindau Cup in 2014 was won by Karl Ochs."],
        ),
        (
            "How high is the Brandt Tower?",
            ["The Brandt Tower is 214 metres high. The Brandt Tower is 241 metres high."],
        ),
        ("How high is the Brandt Tower?", ["The Brandt Tower is 214 metres high.", "The Brandt Tower opened in 1974."]),
        ("How high is it?", ["The Brandt Tower is 214 metres high.", "The Brandt Tower is 702 feet high."]),
        ("How high is it?", ["The Brandt Tower is 214 metres high.", "The Brandt Tower is about 210 metres high."]),
        ("How old is it?", ["The rock is 4.54 billion years old.", "The rock is 4.5 billion years old."]),
        ("When did it open?", ["The tower opened on 3 March 1921.", "The tower opened on 03.03.1921."]),
        ("How much is a ticket?", ["A ticket for adults is 12 euros.", "A ticket for children is 6 euros."]),
        ("Who wrote Winter?", ["Winter was written by John Adam Smith.", "Winter was written by J. A. Smith."]),
        ("...", ["The Brandt Tower is 214 metres high.", "The Brandt Tower is 241 metres high."]),
    ],
)
def test_what_is_no_disagreement(question, texts):
    assert found(question, sources(*texts)) == ()


def test_what_most_pages_are_at_odds_about_comes_first():
    high = ["The Brandt Tower in Lindau is 214 metres high."] * 3 + [
        "The Brandt Tower in Lindau is 241 metres high."
    ] * 2
    built = [
        "The Brandt Tower in Lindau was designed by Irena Vold.",
        "The Brandt Tower in Lindau was designed by Karl Ochs.",
    ]

    first, second = found("What is known of the Brandt Tower in Lindau?", sources(*built, *high))

    assert {(first.one.value, first.one.sites), (first.other.value, first.other.sites)} == {
        (("214",), 3),
        (("241",), 2),
    }
    assert {second.one.value, second.other.value} == {("irena", "vold"), ("karl", "och")}


def test_a_quote_is_words_and_no_markup():
    hostile = "The Brandt Tower is 241 **metres** [high](https://evil.example) ![x](http://evil.example/p.png) `so`."
    (one,) = found("How high is the Brandt Tower?", sources("The Brandt Tower is 214 metres high.", hostile))

    for said in (one.one, one.other):
        assert not set("[]<>`|*_#") & set(said.quote)
        assert "evil" not in said.quote


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("The Brandt Tower is 214 metres high.", True),
        ("It is 241 m high.", True),
        ("Some say 214 and some 241 metres.", False),
        ("Nobody knows how high it is.", False),
    ],
)
def test_an_answer_with_one_value_alone_is_one_sided(answer, told):
    given = sources("The Brandt Tower is 214 metres high.", "The Brandt Tower is 241 metres high.")

    assert bool(one_sided(answer, found("How high is the Brandt Tower?", given), "en")) is told


def test_a_sentence_of_the_answer_finds_what_the_question_does_not_name():
    given = sources(
        "Super Bowl LV was played at the stadium in Tampa, Florida.",
        "Super Bowl LV was played at the stadium in Glendale, Arizona.",
        "On location: tickets for the Super Bowl of 2021, at the location.",
    )
    question = "super bowl 2021 location"

    nearer = found(question, given, answered="Super Bowl LV was played in Tampa, Florida.")

    assert one_sided("It was played in Tampa, Florida.", nearer, "en")


@given(st.lists(st.text(), min_size=1, max_size=4), st.text(), st.text())
def test_any_pages_can_be_held_against_each_other(texts, question, answered):
    given = sources(*texts)

    for each in found(question, given, "ru", answered):
        assert each.one.number != each.other.number
        assert set(each.one.value).isdisjoint(each.other.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "See evil.example/x or mailto:a@evil.example, javascript:alert(1) and www.evil.example now.",
            "See or and now.",
        ),
        ("J. A. Smith won 6.5 to 3.25 in the U.S. in 1999.", "J. A. Smith won 6.5 to 3.25 in the U.S. in 1999."),
        ("a\u202eb\u200bc\x00d [x](y) ［1］", "a b c d x (y) 1"),
        ("x" * 100, "x" * 40),
        ("word " * 100, "word " * 47 + "word …"),
    ],
)
def test_words_that_are_shown_of_a_page(text, shown):
    assert words_of(text) == shown


def test_hostile_pages_cost_no_more_than_others():
    values = " ".join(f"x {n} x {n + 500}" for n in range(100, 160))
    hostile = "\n".join(f"Brandt Tower high is {values} {n}." for n in range(20))

    assert len(found("How high is the Brandt Tower?", sources(hostile, hostile, "The Brandt Tower is 5 m high."))) <= 5


def test_sites_below_one_domain_are_one():
    given = sources(*["The Brandt Tower is 214 metres high."] * 4, "The Brandt Tower is 241 metres high.")
    pages = [replace(one.document, site=f"a{one.number}.evil.example") for one in given]
    given = tuple(
        replace(one, document=page, passages=(Ranked(Passage(page, 0, len(page.text)), 1.0, 1.0),))
        for one, page in zip(given, pages, strict=True)
    )

    (one,) = found("How high is the Brandt Tower?", given)

    assert (one.one.sites, one.other.sites) == (1, 1)
