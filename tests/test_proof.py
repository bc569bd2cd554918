from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cite import CitationReader
from agent.proof import MOST_CLAIMS, Proof
from agent.support import Evidence
from agent.support_weights import SUPPORTED
from agent.types import Answer, Coverage, Source, Usage
from agent.wire.sources import annotation_list, sources
from retrieval.types import Document, Passage, Ranked
from tests.test_support import BRIDGE, OTHER, PASSAGES, TOWER

BOAT = Document(
    "https://d.example/boat",
    "The Lindau boat",
    "The boat Möwe sails from Lindau to Bregenz twice a day.",
    "d",
    None,
    "en",
)


def proof_of(*passages):
    return Proof(Evidence(passages, "en"))


PROOF = proof_of(*PASSAGES, Passage(BOAT, 0, len(BOAT.text)))
PAGES = (TOWER, OTHER, BRIDGE, BOAT)
SOURCES = tuple(
    Source(number, page, (Ranked(Passage(page, 0, len(page.text)), 1.0, 1.0),)) for number, page in enumerate(PAGES, 1)
)


def read(text, unsupported="drop", cut=None):
    reader = CitationReader(SOURCES, "numeric", PROOF, unsupported)
    pieces = text if cut else [text]
    assert "".join(map(reader.feed, pieces)) + reader.flush() == reader.text
    return reader


def test_a_page_that_says_it_proves_its_mark():
    (verdict,) = PROOF.verdicts("The tower is 214 metres high", [TOWER])

    assert verdict.page is TOWER
    assert verdict.quote == "The tower is 214 metres high and is not open to visitors."
    assert verdict.support > SUPPORTED


def test_a_mark_moves_to_the_page_that_says_it():
    (verdict,) = PROOF.verdicts("The tower is 214 metres high", [OTHER])

    assert verdict.page is TOWER
    assert verdict.quote in TOWER.text


def test_what_no_page_says_is_proven_by_none():
    (verdict,) = PROOF.verdicts("Elves of the northern woods built the tower", [TOWER])

    assert (verdict.page, verdict.quote) == (TOWER, None)
    assert verdict.support < SUPPORTED


def test_beside_a_page_that_says_it_another_is_not_moved():
    proven, unproven = PROOF.verdicts("The tower is 214 metres high", [TOWER, OTHER])

    assert proven.quote
    assert (unproven.page, unproven.quote) == (OTHER, None)


def test_pages_prove_a_claim_together():
    claim = "The Brandt Tower is 214 metres high, and the boat Möwe sails from Lindau to Bregenz twice a day"

    tower, boat, other = PROOF.verdicts(claim, [TOWER, BOAT, OTHER])

    assert not PROOF.verdicts(claim, [TOWER])[0].quote
    assert (tower.quote in TOWER.text, boat.quote in BOAT.text, other.quote) == (True, True, None)


def test_a_page_in_another_language_is_not_judged_and_keeps_its_mark():
    foreign, own = PROOF.verdicts("The old bridge is 1520 metres long", [BRIDGE, TOWER])

    assert (foreign.page, foreign.support, foreign.holds) == (BRIDGE, None, True)
    assert (own.page, own.holds) == (TOWER, False)


def test_next_to_no_words_are_not_judged():
    (verdict,) = PROOF.verdicts("Yes", [OTHER])

    assert (verdict.support, verdict.holds) == (None, True)


def test_claims_beyond_a_number_are_not_judged():
    proof = proof_of(*PASSAGES)

    verdicts = [proof.verdicts(f"The tower is {number} metres high", [TOWER])[0] for number in range(MOST_CLAIMS + 1)]

    assert [verdict.support is None for verdict in verdicts] == [False] * MOST_CLAIMS + [True]


@pytest.mark.parametrize("letters", [False, True])
@pytest.mark.parametrize(
    ("unsupported", "shown", "listed"),
    [
        ("drop", "The tower is 214 metres high [1]. Elves from the woods built it.", [TOWER.url]),
        ("flag", "The tower is 214 metres high [1]. Elves from the woods built it [2][?].", [TOWER.url, OTHER.url]),
        ("annotate", "The tower is 214 metres high [1]. Elves from the woods built it [2].", [TOWER.url, OTHER.url]),
    ],
)
def test_what_becomes_of_a_mark_that_nothing_proves(unsupported, shown, listed, letters):
    reader = read("The tower is 214 metres high [1]. Elves from the woods built it [2].", unsupported, letters)

    assert reader.text == shown
    assert [mark.url for mark in reader.annotations] == listed
    assert [bool(mark.quote) for mark in reader.annotations] == [True, False][: len(listed)]
    told = [(mark.written, mark.url, bool(mark.quote), mark.claim) for mark in reader.checked]
    assert told == [
        (TOWER.url, TOWER.url, True, "The tower is 214 metres high"),
        (OTHER.url, None if unsupported == "drop" else OTHER.url, False, "Elves from the woods built it"),
    ]
    assert all(reader.text[mark.start : mark.end].startswith("[") for mark in reader.annotations)


def test_a_mark_that_opens_a_sentence_waits_for_its_end_and_no_longer():
    reader = CitationReader(SOURCES, "numeric", PROOF)

    assert reader.feed("Thus: ") + reader.feed("[2] ") + reader.feed("says that the tower") == "Thus:"
    assert reader.feed(" is 214 metres high. It") == " [1] says that the tower is 214 metres high. It"


def test_a_moved_mark_takes_the_number_of_its_page():
    reader = read("The boat sails from Lindau to Bregenz [4]. The tower is 214 metres high [2]. It opened in 1974 [1].")

    assert reader.text == (
        "The boat sails from Lindau to Bregenz [1]. The tower is 214 metres high [2]. It opened in 1974 [2]."
    )
    assert [page.url for page in reader.cited.values()] == [BOAT.url, TOWER.url]


def test_a_page_that_the_model_was_not_given_can_prove_a_mark():
    proof = proof_of(*PASSAGES, Passage(BOAT, 0, len(BOAT.text)))
    reader = CitationReader(SOURCES[:2], "link", proof)

    shown = reader.feed("The boat Möwe sails from Lindau to Bregenz [2].") + reader.flush()

    assert shown == f"The boat Möwe sails from Lindau to Bregenz [[1]]({BOAT.url})."
    assert reader.cited[BOAT.url].snippet == BOAT.text


def test_a_quote_of_the_version_that_was_given():
    newer = replace(TOWER, text=TOWER.text.replace("214", "215"))
    proof = proof_of(PASSAGES[0], Passage(newer, 0, len(newer.text)))

    assert not proof.verdicts("The tower is 215 metres high", [TOWER])[0].quote


def test_marks_can_open_their_page_at_the_quote():
    reader = CitationReader(SOURCES, "quote", PROOF, "annotate")

    reader.feed("The tower is 214 metres high [1]. Elves from the woods built it [2].")
    reader.flush()

    proven, unproven = reader.annotations
    opened = f"{TOWER.url}#:~:text=The%20tower%20is%20214%20metres,is%20not%20open%20to%20visitors."
    assert (proven.url, reader.text[proven.start : proven.end]) == (opened, f"[[1]]({opened})")
    assert (unproven.url, list(reader.cited)) == (OTHER.url, [TOWER.url, OTHER.url])
    answer = Answer(
        reader.text, "", tuple(reader.annotations), tuple(reader.cited.values()), Usage(), "stop", Coverage()
    )
    told = [mark["url_citation"] for mark in annotation_list(answer)]
    assert [mark["title"] for mark in told] == [TOWER.title, OTHER.title]
    assert [mark["quote_url"] for mark in told] == [opened, OTHER.url]
    assert sources(answer)["citations"] == [TOWER.url, OTHER.url]


@pytest.mark.parametrize("letters", [False, True])
def test_sentences_without_a_mark_can_get_one(letters):
    text = (
        "# Brandt Tower of Lindau\n\nThe tower is 214 metres high. Elves built it.\n\n"
        "The boat sails from Lindau to Bregenz [4]. Dr. Vold did it, i.e. at 3.5 m\n"
        "```\nThe tower is 214 metres high.\n```\n- It opened in 1974\n- So?"
    )
    reader = CitationReader(SOURCES, "numeric", PROOF, "drop", adds=True)

    shown = "".join(map(reader.feed, text if letters else [text])) + reader.flush()

    assert (
        shown
        == reader.text
        == (
            "# Brandt Tower of Lindau\n\nThe tower is 214 metres high. [1] Elves built it.\n\n"
            "The boat sails from Lindau to Bregenz [2]. Dr. Vold did it, i.e. at 3.5 m\n"
            "```\nThe tower is 214 metres high.\n```\n- It opened in 1974 [1]\n- So?"
        )
    )
    added = [mark for mark in reader.checked if mark.written is None]
    assert [mark.url for mark in added] == [TOWER.url] * 2
    assert all(reader.text[mark.start] == "[" for mark in reader.annotations)


SAID = st.lists(
    st.sampled_from(
        [
            "The tower is 214 metres high",
            "It opened in 1974",
            "Elves built it",
            "The boat sails from Lindau to Bregenz",
            " [1]",
            "[2]",
            "(",
            ")",
            ", ",
            "!",
            "?",
            "[4], [9]",
            ". ",
            ".",
            "\n",
            "\n\n",
            "- ",
            "```",
            "`",
            " ",
            "Dr. ",
        ]
    ),
    max_size=14,
).map("".join)


@given(SAID, st.lists(st.integers(0, 300), max_size=8), st.booleans(), st.sampled_from(["drop", "flag", "annotate"]))
def test_cutting_the_stream_anywhere_changes_nothing(text, cuts, adds, unsupported):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    whole, cut = (CitationReader(SOURCES, "link", PROOF, unsupported, adds) for _ in range(2))

    shown = whole.feed(text) + whole.flush()

    assert "".join(cut.feed(text[a:b]) for a, b in pairwise(places)) + cut.flush() == shown == cut.text == whole.text
    assert (cut.annotations, cut.checked) == (whole.annotations, whole.checked)


def test_a_mark_behind_an_exclamation_makes_no_image():
    reader = CitationReader(SOURCES, "link", PROOF)

    assert (
        reader.feed("The tower is 214 metres high![1]") + reader.flush()
        == f"The tower is 214 metres high! [[1]]({TOWER.url})"
    )


def test_a_note_stands_outside_of_code_that_was_left_open():
    reader = CitationReader(SOURCES, "numeric", PROOF)

    shown = reader.feed("So:\n```\nx = [1]") + reader.flush() + reader.close("\n\nThe tower is 214 metres high [1].")

    assert shown == reader.text == "So:\n```\nx = [1]\n```\n\nThe tower is 214 metres high [1]."
    assert len(reader.annotations) == 1


def test_what_is_no_statement_gets_no_mark():
    reader = CitationReader(SOURCES, "numeric", PROOF, adds=True)
    text = (
        "| The tower is 214 metres high |\n`The tower is 214 metres high. So`\n"
        "[1] The tower is 214 metres high. Is the tower 214 metres high?\n"
    ) + "It opened in 1974. " * 3

    assert reader.feed(text) + reader.flush() == text.replace("1974. It", "1974. [1] It", 1)


@pytest.mark.parametrize(
    "run", ["[1]", "[1]\n", "[1](http://x ", "(", "It opened in 1974. ", "The tower is 214 metres high [2]. "]
)
@pytest.mark.parametrize("adds", [False, True])
def test_a_model_in_a_loop_is_read_in_a_moment(run, adds):
    reader = CitationReader(SOURCES, "numeric", PROOF, adds=adds)
    text = run * (6_000 // len(run))

    shown = "".join(reader.feed(text[place : place + 5]) for place in range(0, len(text), 5)) + reader.flush()

    assert shown == reader.text


@pytest.mark.parametrize(
    ("answer", "missed"),
    [
        ("The webpages do not say who built the tower.", False),
        ("На страницах нет ответа на этот вопрос.", False),
        ("Elves built the tower, and no mortal was not afraid.", True),
        ("Elves built the tower. The tower is 214 metres high.", False),
    ],
)
def test_an_answer_that_no_page_says(answer, missed):
    assert PROOF.misses(answer, [TOWER, OTHER]) is missed
    assert not PROOF.misses(answer, [TOWER, BRIDGE])
