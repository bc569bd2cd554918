"""The pure parts of the benchmarks: what they say of the product must be right too."""

import pytest

from tests.benchmarks import recall, rough
from tests.benchmarks.recall import combined, stage
from tests.benchmarks.tables import placed, table


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
