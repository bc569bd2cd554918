from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.support import Evidence
from agent.support_weights import SUPPORTED
from retrieval.types import Document, Passage

TOWER = Document(
    "https://a.example/tower",
    "Brandt Tower",
    "The Brandt Tower is a tower in Lindau. It was designed by the engineer Irena Vold and opened in 1974.\n"
    "The tower is 214 metres high and is not open to visitors. Its antenna was replaced on 3 March 1998.\n"
    "Every year some 40,000 people look at it from the lake, which lies 412 metres above the sea.",
    "a.example",
    "2024-05-01",
    "en",
)
BRIDGE = Document(
    "https://b.example/мост",
    "Старый мост",
    "Старый мост построен в 1886 году по проекту инженера Николая Белелюбского. Длина моста составляет 1 520 метров.\n"
    "Мост не является памятником архитектуры. В 1949 году его перестроили после пожара.",
    "b.example",
    None,
    "ru",
)
OTHER = Document(
    "https://c.example", "Lakes", "Lakes of the Alps are deep and cold. Many towns lie on them.", "c", None, "en"
)
PASSAGES = [Passage(page, 0, len(page.text)) for page in (TOWER, BRIDGE, OTHER)]
EVIDENCE = Evidence(PASSAGES, "en")


@pytest.mark.parametrize(
    ("claim", "page", "supported"),
    [
        ("The tower is 214 metres high", TOWER, True),
        ("The Brandt Tower in Lindau opened in 1974", TOWER, True),
        ("The Brandt Tower was designed by Irena Vold", TOWER, True),
        ("The tower is not open to visitors", TOWER, True),
        ("About 40 000 people look at the tower every year", TOWER, True),
        ("Старый мост был построен в 1886 году инженером Белелюбским", BRIDGE, True),
        ("Длина Старого моста — 1520 метров", BRIDGE, True),
        ("Мост не является памятником архитектуры", BRIDGE, True),
        ("The tower is open to visitors", TOWER, False),
        ("The `tower` is 214 metres high", TOWER, True),
        ("The `beacon` of the tower is 214 metres high", TOWER, False),
        ("Its antenna was replaced on 03.03.1998", TOWER, True),
        ("The tower is -214 metres high and is not open to visitors.", TOWER, False),
        ("About 40 thousand people look at the tower every year", TOWER, True),
        ("Мост является памятником архитектуры", BRIDGE, False),
        ("The tower is 241 metres high", TOWER, False),
        ("The Brandt Tower in Lindau opened in 1947", TOWER, False),
        ("The Brandt Tower was designed by Karl Ochs", TOWER, False),
        ("The Brandt Tower is not a tower in Lindau", TOWER, False),
        ("The tower opened in 1974 and burnt down after an earthquake ten years later", TOWER, False),
        ("The tower is 214 metres high", OTHER, False),
        ("Старый мост был построен в 1868 году инженером Белелюбским", BRIDGE, False),
        ("Длина Старого моста — 1250 метров", BRIDGE, False),
        ("Старый мост не построен в 1886 году", BRIDGE, False),
        ("Старый мост построил инженер Пётр Кузнецов", BRIDGE, False),
        ("In 1974 214 metres was the height of the Brandt Tower", TOWER, True),
        ("", TOWER, False),
        ("[…]", OTHER, False),
    ],
)
def test_a_claim_is_held_against_a_page(claim, page, supported):
    assert (EVIDENCE.support(claim, [page.url])[0].score >= SUPPORTED) is supported


def test_the_words_that_support_are_found():
    found = EVIDENCE.support("The tower is 214 metres high", [TOWER.url])[0]

    assert TOWER.text[found.start : found.end].strip() == "The tower is 214 metres high and is not open to visitors."


@given(st.text(), st.text(), st.text())
def test_any_claim_and_page_have_a_score(claim, title, text):
    page = Document("https://x.example", title, text, "x.example", None, None)
    found = Evidence((Passage(page, 0, len(text)), *PASSAGES), "ru").support(claim, [page.url])[0]

    assert 0 <= found.score <= 1
    assert 0 <= found.start <= found.end <= len(text)


def test_of_two_versions_of_a_page_the_first_counts():
    newer = replace(TOWER, text="News of the day.\n" + TOWER.text.replace("214", "215"))
    passages = [Passage(TOWER, 0, 200), Passage(newer, 17, 300)]
    evidence = Evidence(passages, "en")

    found = evidence.support("The tower is 214 metres high", [TOWER.url])[0]

    assert found.page is TOWER
    assert "214 metres" in TOWER.text[found.start : found.end]


def test_pages_with_every_word_somewhere_do_not_hide_the_one_that_says_it():
    words = ["The", "Brandt", "Tower", "in", "Lindau", "opened", "in", "1974"]
    stuffed = [
        Document(f"https://s{n}.example", "S", " ".join(f"{word} is a word." for word in words), "s", None, "en")
        for n in range(12)
    ]
    evidence = Evidence([*(Passage(page, 0, len(page.text)) for page in stuffed), *PASSAGES], "en")

    assert evidence.elsewhere("The Brandt Tower in Lindau opened in 1974", {OTHER.url}).page is TOWER


def test_a_page_of_short_lines_is_taken_apart_in_a_moment():
    lines = Document("https://l.example", "L", "a\n" * 30_000, "l", None, "en")
    passages = [Passage(lines, start, start + 1_500) for start in range(0, 60_000, 1_500)]

    assert len(Evidence(passages, "en").page(lines.url).sentences) == 400
