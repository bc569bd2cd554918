from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ahead import Ahead
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.errors import EmbedderUnavailable
from retrieval.limits import ChunkLimits, RankLimits
from retrieval.rank import headed, rank
from retrieval.types import Document, Passage

LIMITS = RankLimits(candidates=8, ranked=10)
TEXTS = (
    "Tea is hot.",
    "The tower is 300 m tall, as a tower should be.",
    "It measures three hundred metres.",
    "A tower of books.",
)


def passage(text: str, title: str = "T") -> Passage:
    return Passage(Document(f"https://a.b/{title}", title, text, "a.b"), 0, len(text))


PASSAGES = tuple(passage(text) for text in TEXTS)


@dataclass
class Favoring:
    """An embedder to which only passages with `word` are like the query."""

    word: str
    embedded: list[tuple[str, ...]] = field(default_factory=list)
    dimensions: int = 2
    unrelated_below: float | None = None

    def embed(self, texts: tuple[str, ...], kind: str) -> np.ndarray:
        self.embedded.append(texts)
        rows = [[1.0, 0.0] if kind == "query" or self.word in text else [0.0, 1.0] for text in texts]
        return np.array(rows, dtype=np.float32)


class Broken:
    dimensions = 2
    unrelated_below = None

    def embed(self, texts: tuple[str, ...], kind: str) -> np.ndarray:
        raise EmbedderUnavailable("out of memory")


def ranked(queries, embedder=None, passages=PASSAGES, limits=LIMITS):
    return rank(queries, passages, embedder, limits, "en")


def places(ranking, passages=PASSAGES) -> list[int]:
    return [next(i for i, one in enumerate(passages) if one is row.passage) for row in ranking.passages]


def test_by_words_alone():
    ranking = ranked(["How tall is the tower?"])
    assert places(ranking) == [1, 0, 3, 2]
    assert ranking.note is None
    assert {row.vectors for row in ranking.passages} == {None}
    assert [row.score for row in ranking.passages] == sorted((row.score for row in ranking.passages), reverse=True)


def test_vectors_find_what_words_do_not():
    by_words = places(ranked(["How tall is the tower?"]))
    ranking = ranked(["How tall is the tower?"], Favoring("metres"))
    assert by_words.index(2) == 3
    assert places(ranking).index(2) <= 1
    assert {i: row.vectors for i, row in zip(places(ranking), ranking.passages, strict=True)} == {
        0: 0.0,
        1: 0.0,
        2: 1.0,
        3: 0.0,
    }


def test_both_together_come_first():
    assert places(ranked(["tall tower"], Favoring("300 m")))[0] == 1


def test_without_its_embedder_the_order_is_that_of_words_and_is_noted():
    ranking = ranked(["How tall is the tower?"], Broken())
    assert places(ranking) == places(ranked(["How tall is the tower?"]))
    assert ranking.note == "ranked by words only: out of memory"


def test_the_question_weighs_as_much_as_all_other_queries():
    pages = (passage("tea"), passage("tower"), passage("books"))
    assert places(ranked(["tower", "tea", "books"], passages=pages), pages)[0] == 1
    assert set(places(ranked(["tower", "tea", "tea"], passages=pages), pages)[:2]) == {0, 1}


def test_a_title_lends_its_words():
    pages = (passage("It was built of oak.", "Bread"), passage("It was built of oak.", "The pier"))
    assert places(ranked(["pier"], passages=pages), pages)[0] == 1
    assert headed(pages[1]) == "The pier\nIt was built of oak."


def test_only_candidates_get_vectors_and_the_rest_follows_in_the_order_of_words():
    pages = tuple(passage(f"{'tower ' * (i % 7)}{i}") for i in range(30))
    embedder = Favoring("12")
    ranking = ranked(["tower"], embedder, pages, RankLimits(candidates=5, ranked=12))
    assert len(ranking.passages) == 12
    assert [len(texts) for texts in embedder.embedded] == [1, 5]
    assert all(row.vectors is not None for row in ranking.passages[:5])
    rest = [(row.vectors, row.score, row.words) for row in ranking.passages[5:]]
    assert [(vectors, score) for vectors, score, _ in rest] == [(None, 0.0)] * 7
    assert [words for *_, words in rest] == sorted((words for *_, words in rest), reverse=True)


def test_what_stands_beside_the_best_on_its_page_gets_vectors_too():
    parts = ("Two friends founded the firm.", "Its tower is a tower of towers.", "Tea is served.")
    text = " ".join(parts)
    document = Document("https://a.b/firm", "Firm", text, "a.b")
    page = tuple(Passage(document, start := text.index(part), start + len(part)) for part in parts)
    pages = (passage("Another tower."), *page, passage("More tea."))
    embedder = Favoring("founded")
    limits = RankLimits(candidates=2, neighbors_of=2)
    order = places(ranked(["Who made the tower of towers?"], embedder, pages, limits), pages)
    assert [len(texts) for texts in embedder.embedded] == [1, 2, 2]
    assert embedder.embedded[2] == (headed(page[0]), headed(page[2]))
    assert order.index(1) <= 1


@pytest.mark.parametrize("candidates", [1, 64])
def test_no_more_come_out_than_asked_for(candidates):
    assert len(ranked(["tower"], Favoring("x"), limits=RankLimits(candidates, ranked=2)).passages) == 2


def test_no_passages_are_no_ranking():
    ranking = ranked(["tower"], Broken(), ())
    assert (ranking.passages, ranking.note) == ((), None)


@pytest.mark.parametrize("embedder", [None, Favoring("tower")])
def test_a_query_of_punctuation_leaves_the_order_of_the_pages(embedder):
    order = places(ranked(["?!…"], embedder))
    assert sorted(order) == [0, 1, 2, 3]
    assert embedder or order == [0, 1, 2, 3]


@given(
    st.lists(st.sampled_from(["tower", "чай", "?", "", "北京 tower", "a b c"]), max_size=14),
    st.lists(st.sampled_from(["tower", "чай", "?", "北京"]), min_size=1, max_size=3),
    st.sampled_from([None, Favoring("tower"), Broken()]),
    st.builds(RankLimits, candidates=st.integers(1, 20), neighbors_of=st.integers(0, 9), ranked=st.integers(1, 20)),
)
def test_what_comes_out_went_in_once_and_the_same_each_time(texts, queries, embedder, limits):
    pages = tuple(passage(text) for text in texts)
    ranking = ranked(queries, embedder, pages, limits)
    order = places(ranking, pages)
    assert len(set(order)) == len(order) == min(len(pages), limits.ranked)
    assert ranking == ranked(queries, embedder, pages, limits)


def test_what_is_known_before_saves_embedding_and_changes_nothing():
    embedder = Favoring("metres")
    ahead = Ahead(["How tall is the tower?"], "en", 1, embedder, LIMITS, ChunkLimits())
    for document in {id(one.document): one.document for one in PASSAGES}.values():
        ahead.add(document)
    while ahead.step():
        pass
    fresh = ranked(["How tall is the tower?"], Favoring("metres"))
    again = rank(["How tall is the tower?"], PASSAGES, embedder, LIMITS, "en", ahead.known)
    assert again == fresh
    passages = [text for batch in embedder.embedded for text in batch if text.startswith("T\n")]
    assert len(passages) == len(set(passages)) == len(PASSAGES)


def test_of_the_pages_in_hand_no_more_is_embedded_than_their_share():
    embedder = Favoring("metres")
    ahead = Ahead(["tower"], "en", 2 * len(PASSAGES), embedder, RankLimits(candidates=4), ChunkLimits())
    ahead.add(PASSAGES[0].document)
    while ahead.step():
        pass
    assert embedder.embedded == []


class Watched(list):
    """Queries that count how often they are looked at."""

    looks = 0

    def __iter__(self):
        self.looks += 1
        return super().__iter__()


def test_while_no_page_comes_nothing_is_computed_again():
    queries = Watched(["tower"])
    ahead = Ahead(queries, "en", 2, HashingEmbedder(), LIMITS, ChunkLimits())
    ahead.add(PASSAGES[0].document)
    while ahead.step():
        pass
    looks = queries.looks
    assert looks
    assert not ahead.step()
    assert queries.looks == looks
    ahead.add(PASSAGES[1].document)
    while ahead.step():
        pass
    assert queries.looks > looks


def test_an_embedder_that_fails_ahead_is_left_to_the_ranking():
    ahead = Ahead(["tower"], "en", 1, Broken(), LIMITS, ChunkLimits())
    ahead.add(PASSAGES[0].document)
    assert not ahead.step()
