"""The pure parts of the benchmarks: what they say of the product must be right too."""

import pytest

from tests.benchmarks.recall import stage
from tests.benchmarks.tables import placed, table


@pytest.mark.parametrize(
    ("context", "ranked", "read", "status", "lost"),
    [
        ("fact", "fact", "fact", "read", None),
        ("", "fact", "fact", "read", "cut"),
        ("", "", "fact", "read", "not ranked"),
        ("", "", "", "read", "not extracted"),
        ("", "", "", "skipped", "not fetched"),
        ("", "", "", None, "not found"),
    ],
)
def test_the_first_stage_that_lost_the_evidence_is_named(context, ranked, read, status, lost):
    assert stage(lambda text: "fact" in text, context=context, ranked=ranked, read=read, status=status) == lost


def test_a_table_is_markdown():
    assert table(["a", "b"], [["x", 0.5], ["y", 1.23456]]) == "| a | b |\n| --- | --- |\n| x | 0.5 |\n| y | 1.235 |"


def test_a_result_replaces_the_one_before():
    document = "# B\n\n<!-- bench:x -->\nold\n<!-- /bench:x -->\n\nrest\n"
    assert placed(document, "x", "new\n") == "# B\n\n<!-- bench:x -->\nnew\n<!-- /bench:x -->\n\nrest\n"


def test_a_result_without_a_place_is_an_error():
    with pytest.raises(ValueError, match="bench:y"):
        placed("# B\n", "y", "new\n")
