"""The pure parts of the benchmarks: what they say of the product must be right too."""

import json
from dataclasses import asdict

import pytest

from tests.benchmarks import honesty, recall, rough
from tests.benchmarks.recall import combined, stage
from tests.benchmarks.tables import placed, table
from tests.benchmarks.verdicts import abstains, noted, refuses, verdict


@pytest.mark.parametrize(
    ("context", "ranked", "read", "fate", "lost"),
    [
        ("fact", "fact", "fact", "read", None),
        ("", "fact", "fact", "read", "cut"),
        ("", "", "fact", "read", "not ranked"),
        ("", "", "fact", "duplicate", "not ranked"),
        ("", "", "", "read", "not extracted"),
        ("", "", "", "empty", "not extracted"),
        ("", "", "", "timeout", "not fetched"),
        ("", "", "", "late", "not fetched"),
        ("", "", "", None, "not found"),
    ],
)
def test_the_first_stage_that_lost_the_evidence_is_named(context, ranked, read, fate, lost):
    assert stage(lambda text: "fact" in text, context=context, ranked=ranked, read=read, fate=fate) == lost


@pytest.mark.parametrize(
    ("stages", "any_will_do", "lost"),
    [
        ([None, None], False, None),
        (["cut", None, "not found"], False, "not found"),
        (["cut", None, "not found"], True, None),
        (["not found", "cut", "not fetched"], True, "cut"),
    ],
)
def test_a_question_is_lost_where_its_evidence_is(stages, any_will_do, lost):
    assert combined(stages, any_will_do=any_will_do) == lost


def test_recall_counts_questions_by_stage():
    row = {"set": "s", "language": "en", "words": 0.0, "read": 50, "seconds": 1.0}
    text = recall.report([row | {"all": 1.0, "lost": None}, row | {"all": 0.0, "lost": "not ranked"}])
    assert "| all | 2 | 0.5 | 0 | 0 | 0 | 0 | 1 | 0 |" in text
    assert "| set s | 2 |" in text


def test_the_context_is_due_after_enough_pages_or_the_deadline():
    arrivals = [float(i) for i in range(1, 51)]
    assert rough.due(arrivals, 100.0) == 45.0
    assert rough.due(arrivals, 8.0) == 8.0
    assert rough.due(arrivals[:44], 100.0) == 100.0


def test_a_table_is_markdown():
    assert table(["a", "b"], [["x", 0.5], ["y", 1.23456]]) == "| a | b |\n| --- | --- |\n| x | 0.5 |\n| y | 1.235 |"


def test_a_result_replaces_the_one_before():
    document = "# B\n\n<!-- bench:x -->\nold\n<!-- /bench:x -->\n\nrest\n"
    assert placed(document, "x", "new\n") == "# B\n\n<!-- bench:x -->\nnew\n<!-- /bench:x -->\n\nrest\n"


def test_a_result_without_a_place_is_an_error():
    with pytest.raises(ValueError, match="bench:y"):
        placed("# B\n", "y", "new\n")


@pytest.mark.parametrize(
    "answer",
    [
        "None of the 15 pages that were read has to do with this question, so I cannot answer it from them. Searched.",
        "Для этого вопроса не удалось прочитать ни одной страницы, поэтому ответить по источникам я не могу.",
    ],
)
def test_the_words_of_the_product_abstain(answer):
    assert noted(answer)
    assert abstains(answer)
    assert not refuses(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The webpages do not mention when the series ends.",
        "The webpages above don’t explicitly say who won.",
        "The source [[1]](http://127.0.0.1/a) does not specify the year.",
        "None of the webpages answers the question.",
        "No webpage answers the question.",
        "The date is not mentioned in the webpages [1].",
        "There is no information about the price.",
        "It was a hit. The provided text does not give its length.",
        "I could not find who said so.",
        "На страницах нет ответа на этот вопрос.",
        "Ни одна страница не говорит об этом.",
        "Страницы не содержат сведений о дате.",
        "Дата не указана ни на одной странице.",
    ],
)
def test_the_words_of_a_model_abstain(answer):
    assert refuses(answer)
    assert not noted(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The page says that oats do not contain gluten [1].",
        "The treaty does not mention slavery [1][2].",
        "There is no cure for it [1].",
        "It was sung by The Band, in “I don't know you”.",
        "None of his books was a success [1].",
        "Tampa, Florida, 3. If no webpage answers the question, say so. [1]",
        "Москва [1]. Если ответа на страницах нет, скажи об этом.",
        "Нет, он родился в Москве [1].",
        "",
    ],
)
def test_an_answer_with_a_no_in_it_does_not_abstain(answer):
    assert not abstains(answer)


@pytest.mark.parametrize(
    ("answer", "true", "false", "told"),
    [
        ("It was Tadej Pogacar [1].", ["Tadej Pogačar"], "Egan Bernal", "true"),
        ("On 21st of July, 2017.", ["July 21 2017"], "July 1, 2007", "true"),
        ("On 2017-07-01.", ["July 21 2017"], "July 1, 2017", "false"),
        ("It came out on June 11, 2020.", [["June 2020", "Jun 2020"]], "June 2010", "true"),
        ("Norway, ahead of the United States.", ["Norway"], "U.S.", "both"),
        ("They told us all.", ["Norway"], "U.S.", "neither"),
        ("In Tampa.", ["Tampa, Florida"], "Glendale, Arizona", "true"),
        ("It made $1.39 billion.", ["$10.4 billion"], "$1.39 billion", "false"),
        ("Toy Story 2 won.", ["Toy Story"], "Toy Story 2", "false"),
        ("Toy Story 2 won.", ["Toy Story 2"], "Toy Story", "true"),
        ("Somebody [[1]](http://127.0.0.1/norway).", ["Norway"], "U.S.", "neither"),
    ],
)
def test_an_answer_gives_the_true_value_or_the_false_one(answer, true, false, told):
    assert verdict(answer, true, false) == told


def told(**fields):
    """Make an answer that was kept."""
    given = {
        "id": "q", "set": honesty.RGB, "question": "Who won?", "true": ["Ann"], "false": "Bob", "true_pages": ["a"],
        "false_pages": ["b"], "text": "Ann.", "reasoning": "", "marks": [], "sources": [], "coverage": {},
        "seconds": 1.0,
    }  # fmt: skip
    return honesty.Kept(**given | fields)


def test_answers_are_counted_by_what_was_given():
    both = ["http://127.0.0.1:1/a.html", "http://127.0.0.1:1/b"]
    marks = [honesty.Mark("u", 0.9, "Ann won"), honesty.Mark("u", 0.1, None), honesty.Mark("u", None, None)]
    text = honesty.report(
        [
            told(sources=both, text="Bob.", marks=[honesty.Mark(both[1], 0.9, "Bob won")]),
            told(sources=both[:1], marks=marks),
            told(set=honesty.UNANSWERABLE, text="No webpage says so."),
            told(set=honesty.ANSWERABLE, sources=both[:1]),
            told(error="ModelFailed: it broke off"),
        ]
    )
    assert "| all | 2 | 0.5 | 0.5 | 0 | 0 | 0.5 | 0 |" in text
    assert "| a true and a false page were given | 1 | 0 | 1 | 0 | 0 | 1 | 0 |" in text
    assert "| clapnq_unans | 1 | 0 | 1 | 0 |" in text
    assert "| clapnq | 1 | 1 | 0 | 0 |" in text
    assert "| rgb_fact | 2 | 4 | 3 | 2 | 0 |" in text
    assert "1 failed" in text


def test_files_are_judged_over_the_questions_of_both(tmp_path):
    names = {"before": ("p", "q"), "after": ("q", "r")}
    for name, ids in names.items():
        lines = [json.dumps(asdict(told(id=each, marks=[honesty.Mark("u", 0.9, "w")]))) for each in ids]
        (tmp_path / name).write_text("\n".join(lines))
    text = honesty.judged([tmp_path / name for name in names])
    assert text.count("| all | 1 | 1 |") == 2
    assert text.count("| rgb_fact | 1 | 1 | 1 | 1 | 0 |") == 2


def test_sets_are_mixed_in_proportion():
    rows = honesty.mixed([list(range(8)), list(range(100, 104)), []])
    assert sorted(rows) == [*range(8), *range(100, 104)]
    assert [sum(row >= 100 for row in rows[place : place + 3]) for place in (0, 3, 6, 9)] == [1, 1, 1, 1]


def test_questions_are_taken_evenly():
    assert honesty.spread(list(range(10)), 4) == [0, 2, 5, 7]
    assert honesty.spread(list(range(3)), 9) == [0, 1, 2]
    assert honesty.spread([], 9) == []
