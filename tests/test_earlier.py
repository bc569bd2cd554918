import pytest

from agent.cite import CitationReader
from agent.earlier import Earlier
from agent.pack import pack
from agent.types import Context, Message, Question, Source
from retrieval.types import Document, Hit, Passage, Ranked, SearchFilters
from tests import web as local
from tests.test_pipeline import Engine, piers, run

ASKED = Message("user", "How long is the old pier of Brighton?")
ANSWERED = Message("assistant", "It is 503 m long [1].")
FURTHER = Message("user", "And what is it made of?")


def row(page: int, place: int, text: str = "") -> Ranked:
    document = Document(f"https://a.org/{page}", f"Page {page}", "", "a.org")
    text = text or f"Passage {place} of page {page}. "
    whole = Document(document.url, document.title, " " * place * 100 + text, document.site)
    return Ranked(Passage(whole, place * 100, place * 100 + len(text)), 1.0, 1.0)


def sources(*pages: int, chars: int = 10) -> Context:
    made = tuple(Source(n, Document(f"u{n}", "", "x" * chars, "a"), ()) for n in pages)
    return Context("", made)


def test_a_follow_up_knows_the_sources_of_the_turn_before():
    earlier = Earlier()
    earlier.keep(Question((ASKED,)), sources(1, 2))
    follow_up = Question((ASKED, ANSWERED, FURTHER))
    assert earlier.of(follow_up) == sources(1, 2).sources
    earlier.keep(follow_up, sources(3))
    third = Question((ASKED, Message("assistant", "something else"), FURTHER, ANSWERED, Message("user", "Why?")))
    assert earlier.of(third) == sources(3).sources


@pytest.mark.parametrize(
    "question",
    [
        Question((ASKED,)),
        Question((FURTHER, ANSWERED, ASKED)),
        Question((ASKED, ANSWERED, FURTHER), filters=SearchFilters(domains=("a.org",))),
        Question((ASKED, ANSWERED, FURTHER), owner="another"),
    ],
)
def test_other_questions_know_nothing_of_it(question):
    earlier = Earlier()
    earlier.keep(Question((ASKED,)), sources(1))
    assert earlier.of(question) == ()


def test_little_is_kept_and_not_for_long():
    follow_up = Question((ASKED, ANSWERED, FURTHER))
    small, short = Earlier(most_chars=15), Earlier(seconds=0.0)
    for earlier in (small, short):
        earlier.keep(Question((ASKED,)), sources(1))
    assert small.of(follow_up)
    assert not short.of(follow_up)
    small.keep(Question((FURTHER,)), sources(2))
    assert not small.of(follow_up)
    small.keep(Question((ASKED,)), sources(1, 2, 3))
    assert not small.of(follow_up)


def test_sources_that_serve_again_stand_first_as_they_stood():
    first = pack([row(1, 0), row(2, 0), row(1, 1), row(3, 0)], 600)
    again = pack([row(4, 0), row(2, 0), row(2, 1), row(1, 1), row(4, 1)], 600, first.sources)
    assert [source.document.title for source in again.sources] == ["Page 1", "Page 2", "Page 4", "Page 2"]
    assert [source.number for source in again.sources] == [1, 2, 3, 4]
    assert again.text.startswith(first.text[: first.text.index("[webpage 3 begin]")])
    assert again.text.count("Passage 0 of page 2.") == 1


def test_a_source_that_serves_no_more_ends_what_is_kept():
    first = pack([row(1, 0), row(2, 0), row(3, 0)], 600)
    again = pack([row(3, 0), row(1, 0)], 600, first.sources)
    assert [source.document.title for source in again.sources] == ["Page 1", "Page 3"]
    assert pack([row(3, 0)], 600, first.sources).text == pack([row(3, 0)], 600).text


def test_earlier_sources_leave_room_for_new_ones():
    rows = [row(page, 0, f"Long text {page}. " * 9) for page in range(5)]
    first = pack(rows, 900)
    again = pack([row(9, 0, "New text. " * 9), *rows], 900, first.sources)
    assert 0 < sum(source.document.title != "Page 9" for source in again.sources) < len(first.sources)
    assert "Page 9" in again.text
    assert len(again.text) <= 900


def test_two_sources_of_one_page_are_one_citation():
    first = pack([row(1, 0)], 600)
    both = pack([row(1, 0), row(1, 1)], 600, first.sources)
    reader = CitationReader(both.sources, "numeric")
    assert reader.feed("One [2]. Two [1][2].") + reader.flush() == "One [1]. Two [1]."
    assert len(reader.cited) == 1


@pytest.mark.anyio
async def test_a_follow_up_reads_on_where_the_turn_before_stopped(web, equipped):
    first, second = (
        piers(web, 4),
        (Hit(web.page("/iron", local.article("Iron", "The old pier of Brighton is made of iron. " * 4)), "Iron"),),
    )
    engine = Engine(first)
    async with equipped(engine) as tools:
        await run(tools, Question((ASKED,)))
        engine.hits = second
        done = (await run(tools, Question((ASKED, ANSWERED, FURTHER))))[-1]
        one, two = (prompt.messages[-1].content for prompt in tools.model.prompts)
    assert (done.coverage.found, done.coverage.read) == (1, 1)
    assert done.coverage.used == 5
    begin = one.index("[webpage 1 begin]"), one.index("[webpage 1 end]")
    assert two[: begin[1]] == one[: begin[1]]
    assert "Pier 3" in one[slice(*begin)]
    assert web.hits["/3"] == 1
