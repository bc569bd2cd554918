from agent.named import named_first
from retrieval.chunk import chunk
from retrieval.limits import ChunkLimits
from retrieval.rank import Ranking
from retrieval.types import Document, Ranked

LIMITS = ChunkLimits(60, 90)
PAGE, OTHER = (
    Document(
        f"https://a.org/{name}", name, "".join(f"Sentence {n} of {name} is long enough. " for n in range(9)), "a.org"
    )
    for name in ("page", "other")
)


def test_the_passages_of_a_named_page_come_first_the_best_and_then_the_rest():
    page, other = chunk(PAGE, LIMITS), chunk(OTHER, LIMITS)
    ranking = Ranking(
        (Ranked(other[0], 3.0, 1.0), Ranked(page[2], 2.0, 1.0), Ranked(other[1], 1.0, 1.0)), unrelated=True
    )
    made = named_first(ranking, [PAGE], LIMITS)
    rest = [passage for passage in page if passage != page[2]]
    assert [row.passage for row in made.passages] == [page[2], *rest, other[0], other[1]]
    assert not made.unrelated


def test_without_a_named_page_a_ranking_stays():
    ranking = Ranking((Ranked(chunk(OTHER, LIMITS)[0], 1.0, 1.0),), "note", unrelated=True)
    assert named_first(ranking, [], LIMITS) is ranking
