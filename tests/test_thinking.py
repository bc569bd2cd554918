from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.stop import StopReader
from agent.thinking import ThinkingSplitter
from agent.types import Text, Thinking


def split(text: str, cuts=(), *, inside=False):
    splitter = ThinkingSplitter(inside=inside)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    events = [e for a, b in pairwise(places) for e in splitter.feed(text[a:b])] + splitter.flush()
    thought = "".join(event.text for event in events if isinstance(event, Thinking))
    said = "".join(event.text for event in events if isinstance(event, Text))
    return thought, said


def test_inline_thoughts_are_taken_out():
    assert split("<think>\nHm, 2 < 3.</think>\n\nYes.") == ("Hm, 2 < 3.", "Yes.")


def test_a_template_may_have_opened_the_thought():
    assert split("Hm.</think>Yes.", inside=True) == ("Hm.", "Yes.")


def test_text_without_thoughts_is_text():
    assert split("Use <think> tags.") == ("", "Use <think> tags.")


def test_a_thought_cut_off_stays_a_thought():
    assert split("<think>Hm, </thi") == ("Hm, </thi", "")


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "th", " ", "\n", "a"]), max_size=12).map("".join),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_cutting_thoughts_anywhere_changes_nothing(text, cuts):
    assert split(text, cuts) == split(text)


def stopped(text: str, stops: tuple[str, ...], cuts=()):
    reader = StopReader(stops)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown = "".join(reader.feed(text[a:b]) for a, b in pairwise(places)) + reader.flush()
    return shown, reader.stopped


def test_the_answer_ends_before_the_first_stop_string():
    assert stopped("one two END three", ("three", "END")) == ("one two ", True)
    assert stopped("one two", ("END",)) == ("one two", False)


@given(
    st.text("abE", max_size=20),
    st.lists(st.text("abE", min_size=1, max_size=3), max_size=4).map(tuple),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_cutting_at_stops_anywhere_changes_nothing(text, stops, cuts):
    found = [text.find(stop) for stop in stops if stop in text]
    assert stopped(text, stops, cuts) == (text[: min(found)] if found else text, bool(found))
