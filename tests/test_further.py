"""What is searched after the first results, and what becomes of it."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.bridge import bridges
from retrieval.clauses import clauses
from retrieval.errors import EngineError
from retrieval.further import further_queries, search_further
from retrieval.limits import SearchLimits
from retrieval.search import search
from retrieval.types import Hit, Query, SearchFilters

LIMITS = SearchLimits(wanted=20, engine_seconds=0.2, total_seconds=1.0, further_wanted=10)
ASKED = "Who directed the film that was shot near Leland in 1986?"
FILM = Hit(
    "https://a.org/leland",
    "Leland, North Carolina - Wikipedia",
    "Leland is a town. Several films, such as Maximum Overdrive (1986), were shot near Leland in May 1986.",
)


def test_a_name_in_the_first_hits_is_the_next_link():
    names = bridges(ASKED, [FILM], 6, "en")
    assert "Maximum Overdrive" in names
    assert "Leland, North Carolina" in names


def test_what_the_question_holds_and_dates_are_no_links():
    assert not {"Leland", "May 1986", "May", "Several"} & set(bridges(ASKED, [FILM], 20, "en"))


def test_russian_names_are_found_in_every_case():
    hit = Hit("https://b.ru/1", "Палата № 6", "Повесть написана Антоном Павловичем Чеховым в 1892 году на Сахалине.")
    names = bridges("Где родился автор повести «Палата № 6»?", [hit], 6, "ru")
    assert "Антоном Павловичем Чеховым" in names
    assert "Сахалине" in names


def test_writing_without_capitals_gives_titles():
    hits = [Hit("https://c.cn/1", "长江大桥", "长江大桥位于武汉市。")]
    assert bridges("武汉有什么著名的桥？", hits, 6, "zh") == ("长江大桥",)


def test_the_hit_that_shares_most_with_the_question_counts_most():
    far = Hit("https://d.org/1", "Directors", "The guild of Hollywood Directors meets in the autumn.")
    assert bridges(ASKED, [far, FILM], 1, "en") == ("Leland, North Carolina",)


def test_an_address_that_stands_for_a_title_is_no_name():
    assert bridges(ASKED, [Hit("https://e.org/x", "/pages/leland.html", "")], 6, "en") == ()


@given(st.text(max_size=80), st.lists(st.tuples(st.text(max_size=60), st.text(max_size=120)), max_size=8))
def test_any_hits_give_at_most_so_many_names_that_are_all_new(question, texts):
    names = bridges(question, [Hit("https://f.org/", title, snippet) for title, snippet in texts], 3, "en")
    assert len(names) <= 3
    assert len(set(names)) == len(names)
    assert all(name.strip() and name.lower() != question.lower() for name in names)


LONG = (
    "Did the Guardian report that Britney Spears lost her privacy at the age of 16, "
    "while the BBC said that Taylor Swift had kept hers?"
)


def test_a_long_question_is_cut_into_its_clauses():
    assert set(clauses(LONG, 4)) == {
        "Did the Guardian report that Britney Spears lost her privacy at the age of 16",
        "the BBC said that Taylor Swift had kept hers?",
    }
    assert len(clauses(LONG, 1)) == 1


def test_a_russian_question_too():
    who = "Кто родился раньше, писатель Антон Павлович Чехов или художник Исаак Ильич Левитан"
    text = f"{who}, и где они оба впервые встретились?"
    assert clauses(text, 4) == (
        "писатель Антон Павлович Чехов",
        "художник Исаак Ильич Левитан",
        "где они оба впервые встретились?",
    )


def test_a_short_question_stays_whole():
    assert clauses("Who was born earlier, Chekhov or Levitan?", 4) == ()
    assert clauses("word " * 20, 4) == ()


def test_names_and_clauses_keep_language_and_filters():
    filters = SearchFilters(domains=("a.org",))
    queries = further_queries(Query(LONG, "en", filters), [FILM], LIMITS, "en")
    name = bridges(LONG, [FILM], 1, "en")[0]
    parts = list(clauses(LONG, 4))
    assert [query.text for query in queries][-4:] == [*parts, *(f"{name} {part}" for part in parts)]
    assert queries[0].text == f"{name} {LONG}"
    assert {(query.language, query.filters) for query in queries} == {("en", filters)}


@pytest.mark.parametrize("most", [0, 1, 3, 4, 12])
def test_further_queries_are_bounded(most):
    assert len(further_queries(Query(LONG), [FILM], replace(LIMITS, further=most), "en")) <= most


def test_without_names_the_clauses_are_asked_alone():
    assert [query.text for query in further_queries(Query(LONG), [], LIMITS, "en")] == list(clauses(LONG, 4))


@dataclass
class Library:
    """An engine that has so many hits for each query it knows, and fails on others."""

    known: dict[str, int]
    name: str = "library"
    asked: list[str] = field(default_factory=list)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        self.asked.append(query.text)
        if query.text not in self.known:
            raise EngineError("answered 500")
        numbers = range((page - 1) * 10, min(page * 10, self.known[query.text]))
        return tuple(Hit(f"https://{query.text}{number}.org/", f"T{number}") for number in numbers)


@pytest.mark.anyio
async def test_what_is_found_further_joins_what_was_found():
    engine = Library({"one": 30, "two": 30})
    found = await search([Query("one")], [engine], LIMITS)
    more = await search_further(found, [Query("two")], [engine], LIMITS)
    assert [hit.url for hit in more.hits[:4]] == [
        "https://one0.org/", "https://two0.org/", "https://one1.org/", "https://two1.org/",
    ]  # fmt: skip
    assert set(found.hits) < set(more.hits)
    assert engine.asked.count("two") == 1
    (report,) = more.engines
    assert (report.status, report.results) == ("ok", len(more.hits))


@pytest.mark.anyio
async def test_a_failure_further_on_is_noted_and_loses_nothing():
    engine = Library({"one": 5})
    found = await search([Query("one")], [engine], LIMITS)
    more = await search_further(found, [Query("two"), Query("three")], [engine], LIMITS)
    assert more.hits == found.hits
    assert (more.engines[0].status, more.engines[0].error) == ("ok", "answered 500")


@pytest.mark.anyio
async def test_only_the_first_engine_that_answered_is_asked_further():
    down, up, spare = Library({}, "down"), Library({"one": 3, "two": 3}, "up"), Library({"one": 3, "two": 3}, "spare")
    engines = [down, up, spare]
    found = await search([Query("one")], engines, LIMITS)
    await search_further(found, [Query("two")], engines, LIMITS)
    assert ("two" in down.asked, "two" in up.asked, "two" in spare.asked) == (False, True, False)


def test_a_word_that_is_written_small_elsewhere_is_no_name():
    hits = [
        Hit("https://g.org/1", "Shooting in Leland", "It was a film by Overdrive, and many Using it saw Leland."),
        Hit("https://g.org/2", "Leland", "The film was made using a camera."),
    ]
    names = bridges(ASKED, hits, 20, "en")
    assert "Overdrive" in names
    assert "Using" not in names


@pytest.mark.anyio
async def test_of_a_further_query_no_more_is_taken_than_is_wanted():
    """More would drown what the first query found."""
    engine = Library({"one": 30, "two": 90})
    found = await search([Query("one")], [engine], LIMITS)
    more = await search_further(found, [Query("two")], [engine], replace(LIMITS, further_wanted=15))
    assert len(more.hits) == len(found.hits) + 15
    assert engine.asked.count("two") == 2
