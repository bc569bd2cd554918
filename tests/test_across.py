import math

import numpy as np
import pytest

from agent.across import Across
from agent.across_weights import PROVEN, REJECTED
from agent.proof import Proof
from agent.settings import Settings
from agent.support import Evidence
from retrieval.errors import EmbedderUnavailable
from retrieval.types import Document, Passage
from tests.test_support import BRIDGE, PASSAGES, TOWER

TOWER_CLAIM = "Высота башни — 214 метров, и она не открыта для посетителей"
BRIDGE_CLAIM = "The old bridge was built in 1886 by the engineer Nikolai Belelubsky"


class Scripted:
    """An embedder for which texts of one subject are nearer to each other than others, on the scale of the real one."""

    dimensions, unrelated_below = 21, 0.8
    subjects = (("high", "ысота"), ("built", "построен"), ("Lindau", "Линдау"), ("Кострома",))

    def __init__(self):
        self.asked = []

    def embed(self, texts, kind):
        self.asked += texts
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[0] = 1
            row[1:5] = [0.45 * any(word in text for word in subject) for subject in self.subjects]
            row[5 + len(text) % 16] = 0.35
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Down(Scripted):
    def embed(self, texts, kind):
        raise EmbedderUnavailable("no such host")


def judged(claim, page, embedder=None, language="ru"):
    return Across(embedder or Scripted(), language).support(claim, Evidence(PASSAGES, language).page(page.url))


def test_a_claim_is_proven_by_the_sentence_that_is_nearest():
    found = judged(TOWER_CLAIM, TOWER)

    assert found.score >= PROVEN
    assert found.page.text[found.start : found.end].startswith("The tower is 214 metres high")


def test_names_are_the_same_in_every_script():
    score = judged(BRIDGE_CLAIM, BRIDGE, language="en").score

    assert score >= PROVEN
    other = judged(BRIDGE_CLAIM.replace("Nikolai Belelubsky", "Stanislav Kerbedz"), BRIDGE, language="en")
    assert other is None or other.score < score


@pytest.mark.parametrize(
    "claim",
    [
        TOWER_CLAIM.replace("214", "412 113"),
        "Население города Кострома составляет 277 тысяч человек",
    ],
)
def test_another_number_and_another_subject_are_not_proven(claim):
    found = judged(claim, TOWER)

    assert found is None or found.score < REJECTED


def test_a_negation_on_one_side_counts_against_it():
    judge, page = Across(Scripted(), "ru"), Evidence([Passage(TOWER, 0, 101)], "ru").page(TOWER.url)
    _, plain = judge.features("Башня в Линдау построена Вольд", page)
    _, negated = judge.features("Башня в Линдау не построена Вольд", page)

    assert {name for name in plain if plain[name] != negated[name]} >= {"negative alone", "negated otherwise"}
    assert (negated["negative alone"], negated["negated otherwise"]) == (1, 1)


def test_a_page_is_embedded_once():
    embedder = Scripted()
    judge, page = Across(embedder, "ru"), Evidence(PASSAGES, "ru").page(TOWER.url)
    judge.support(TOWER_CLAIM, page)
    first = len(embedder.asked)
    judge.support("Башня в Линдау", page)

    assert embedder.asked[first:] == ["Башня в Линдау"]


def test_long_pages_cost_no_more_than_their_best_sentences():
    text = "word " * 100_000
    page, embedder = Document("https://l.example", "Long", text, "l", None, "en"), Scripted()
    rows = [Passage(page, start, start + 1_000) for start in range(0, len(text), 1_000)]
    judged_page = Evidence(rows, "ru").page(page.url)
    Across(embedder, "ru").support(TOWER_CLAIM, judged_page)

    assert len(embedder.asked) <= 41
    assert max(map(len, embedder.asked)) <= 300


def test_without_vectors_or_words_nothing_is_told():
    empty = Document("https://e.example", "Empty", " ", "e", None, "en")

    assert judged(TOWER_CLAIM, TOWER, Down()) is None
    assert Across(Scripted(), "ru").support(TOWER_CLAIM, Evidence([Passage(empty, 0, 1)], "ru").page(empty.url)) is None


def test_a_rejected_mark_moves_to_a_page_that_says_it_in_the_language_of_the_answer():
    claim = "Старый мост был построен в 1886 году инженером Белелюбским"
    evidence = Evidence(PASSAGES, "ru")
    (verdict,) = Proof(evidence, Across(Scripted(), "ru")).verdicts(claim, [TOWER])

    assert verdict.page is BRIDGE
    assert verdict.quote in BRIDGE.text
    assert Proof(evidence).verdicts(claim, [TOWER])[0].page is TOWER


@pytest.mark.embedded
def test_the_embedded_model_tells_a_page_that_says_it_from_one_that_does_not():
    from retrieval.embedders.embedded import EmbeddedEmbedder

    embedder = EmbeddedEmbedder(Settings().models_dir, lambda *_: None)
    right, wrong = judged(TOWER_CLAIM, TOWER, embedder), judged("Сортировать словарь помогает sorted", TOWER, embedder)

    assert right.score >= PROVEN
    assert wrong.score < REJECTED
    assert not math.isnan(wrong.score)
