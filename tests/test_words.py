import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.words import score, stems


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("running towers", "Run tower", "en"),
        ("Эйфелева башня", "эйфелевы башни", "ru"),
        ("ещё счётчики", "еще счетчик", "ru"),
        ("за́мки", "замок замки", "ru"),
        ("Häuser", "häusern", "de"),
        ("東京タワー", "東京タワー", "ja"),
    ],
)
def test_forms_of_a_word_share_their_stem(one, other, language):
    assert set(stems(one, language)) <= set(stems(other, language))


def test_a_word_is_stemmed_by_its_script_whatever_the_language():
    assert stems("Docker контейнеры running", "ru") == stems("docker контейнер run", "en")


def test_writing_without_spaces_is_cut_into_pairs():
    assert stems("北京人口", "zh") == ["北京", "京人", "人口"]
    assert stems("京", "zh") == ["京"]


@pytest.mark.parametrize("text", ["", "?!… — «»", "\n"])
def test_punctuation_has_no_stems(text):
    assert stems(text, "en") == []


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("how tall is the tower", "en"),
        ("высота башен", "ru"),
        ("北京的人口", "zh"),
        ("высота Eiffel tower", "ru"),
        ("Höhe der Türme", "de"),
        ("tower", "xx"),
    ],
)
def test_the_text_with_the_words_scores_best(query, language):
    texts = [
        "Tea is hot. Der Tee ist heiß. Чай горячий. 茶很热。",
        "The tower is 300 m tall. Die Höhe des Turms. Высота башни. 北京市人口超过两千万。",
        "",
        "Bread is baked. Das Brot. Хлеб пекут. 面包。",
    ]
    scores = score([query], texts, language)
    assert scores.shape == (1, 4)
    assert int(scores[0].argmax()) == 1
    assert scores[0][2] == 0.0


def test_a_rare_word_weighs_more_than_a_common_one():
    texts = ["the pier is old", "the tower is old", "the house is old", "the zeppelin is new"]
    assert int(score(["old zeppelin"], texts, "en")[0].argmax()) == 3


@pytest.mark.parametrize("query", ["?!", "", "unknown"])
def test_a_query_that_shares_no_word_scores_nothing(query):
    assert not score([query], ["The tower.", "?"], "en").any()


def test_texts_without_words_score_nothing():
    assert score(["tower", "x"], ["?!", ""], "en").tolist() == [[0.0, 0.0], [0.0, 0.0]]


WORDS = st.lists(
    st.sampled_from(["tower", "Башня", "ё", "北京", "?", "x1", "\u0301", "a_b", "ไทย"]) | st.text(max_size=4),
    max_size=8,
).map(" ".join)


@given(
    st.lists(WORDS, min_size=1, max_size=3),
    st.lists(WORDS, min_size=1, max_size=5),
    st.sampled_from(["en", "ru", "zh"]),
)
def test_scores_are_finite_and_never_negative(queries, texts, language):
    scores = score(queries, texts, language)
    assert scores.shape == (len(queries), len(texts))
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join), min_size=1, max_size=9),
    st.lists(st.lists(st.sampled_from("abcdxyz"), max_size=5).map(" ".join), min_size=1, max_size=3),
)
def test_scores_are_those_of_an_index_of_all_words(texts, queries):
    scores = score(queries, texts, "en")
    corpus = [stems(text, "en") for text in texts]
    if not any(corpus):
        assert not scores.any()
        return
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    for row, query in zip(scores, queries, strict=True):
        shared = [word for word in stems(query, "en") if word in index.vocab_dict]
        np.testing.assert_allclose(row, index.get_scores(shared) if shared else np.zeros(len(texts)), rtol=1e-4)
