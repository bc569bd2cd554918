from dataclasses import dataclass, field

import anyio
import pytest

from retrieval.cooldown import PatientEngine
from retrieval.errors import EngineError, SearchFailed
from retrieval.limits import CooldownLimits, SearchLimits
from retrieval.search import fuse, preferring, search, spread
from retrieval.types import Hit, PartialPage, Query, SearchFilters

pytestmark = pytest.mark.anyio
LIMITS = SearchLimits(wanted=25, result_pages=5, engine_seconds=0.2, total_seconds=1.0)


@dataclass
class Scripted:
    """An engine with `total` results a query, ten a page, or an error."""

    name: str = "scripted"
    total: int = 100
    error: str | None = None
    delay: float = 0.0
    fails_after: int | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        self.asked.append((query.text, page))
        await anyio.sleep(self.delay)
        if self.error or (self.fails_after is not None and page > self.fails_after):
            raise EngineError(self.error or "rate limited")
        numbers = range((page - 1) * 10, min(page * 10, self.total))
        return tuple(Hit(f"https://{self.name}.org/{query.text}/{number}", f"T{number}") for number in numbers)


async def test_pages_are_asked_until_enough_is_in_hand():
    engine = Scripted()
    found = await search([Query("q")], [engine], LIMITS)
    assert len(found.hits) >= 25
    assert [hit.url[-1] for hit in found.hits[:10]] == list("0123456789")
    assert max(page for _, page in engine.asked) <= 5
    assert found.engines[0].status == "ok"


async def test_an_empty_page_ends_a_listing():
    engine = Scripted(total=7)
    found = await search([Query("q")], [engine], LIMITS)
    assert len(found.hits) == 7
    assert len(engine.asked) <= 5


async def test_one_engine_down_is_noted_and_the_other_serves():
    found = await search([Query("q")], [Scripted("up"), Scripted("down", error="HTTP 403")], LIMITS)
    assert {report.name: (report.status, report.error) for report in found.engines} == {
        "up": ("ok", None),
        "down": ("failed", "HTTP 403"),
    }


async def test_an_engine_that_fails_later_keeps_its_first_results():
    found = await search([Query("q")], [Scripted(fails_after=1)], LIMITS)
    assert len(found.hits) == 10
    assert (found.engines[0].status, found.engines[0].error) == ("ok", "rate limited")


async def test_all_down_is_an_error_that_names_each():
    with pytest.raises(SearchFailed) as caught:
        await search([Query("q")], [Scripted("a", error="HTTP 403"), Scripted("b", delay=5)], LIMITS)
    assert caught.value.engines == {"a": "HTTP 403", "b": "no answer within 0.2 s"}


async def test_nothing_found_is_no_error():
    found = await search([Query("q")], [Scripted(total=0)], LIMITS)
    assert found.hits == ()
    assert found.engines[0].status == "empty"


def hits(*urls: str) -> list[Hit]:
    return [Hit(url, url) for url in urls]


def test_results_are_fused_by_rank_and_count_once():
    a = hits("https://x.org/1", "https://x.org/2", "https://x.org/3")
    b = hits("https://www.x.org/2/?utm_source=b", "https://x.org/4")
    fused = fuse([a, b], [SearchFilters(), SearchFilters()])
    assert [hit.url for hit in fused] == ["https://x.org/2", "https://x.org/1", "https://x.org/4", "https://x.org/3"]


def test_filters_hold_whatever_the_engine_did():
    rows = [Hit("https://a.org/1", "", date="2026-01-05"), Hit("https://docs.a.org/2", ""), Hit("https://b.org/3", ""),
            Hit("javascript:alert(1)", "")]  # fmt: skip
    only = SearchFilters(domains=("a.org",), excluded_domains=("docs.a.org",))
    assert [hit.url for hit in fuse([rows], [only])] == ["https://a.org/1"]
    late = SearchFilters(after="2026-02-01")
    assert [hit.url for hit in fuse([rows], [late])] == ["https://docs.a.org/2", "https://b.org/3"]


# the pool


def names(found) -> list[tuple[str, str]]:
    return [(report.name, report.status) for report in found.engines]


async def test_two_engines_are_asked_together_and_the_others_are_spared():
    engines = [Scripted(name) for name in ("a", "b", "c")]
    found = await search([Query("q")], engines, LIMITS)
    assert names(found) == [("a", "ok"), ("b", "ok")]
    assert engines[2].asked == []


async def test_the_next_engine_takes_over_from_one_that_fails():
    engines = [Scripted("a", error="answered 500"), Scripted("b", total=12), Scripted("c"), Scripted("d")]
    found = await search([Query("q")], engines, LIMITS)
    assert names(found)[:3] == [("a", "failed"), ("b", "ok"), ("c", "ok")]
    assert len(found.hits) >= 25


async def test_the_next_engine_takes_over_when_there_is_too_little():
    engines = [Scripted("a", total=3), Scripted("b", total=4), Scripted("c", total=5), Scripted("d", total=0)]
    found = await search([Query("q")], engines, LIMITS)
    assert names(found) == [("a", "ok"), ("b", "ok"), ("c", "ok"), ("d", "empty")]
    assert len(found.hits) == 12


async def test_the_order_is_by_preference_whoever_answers_first():
    slow, quick = Scripted("slow", total=3, delay=0.05), Scripted("quick", total=3)
    found = await search([Query("q")], [slow, quick], LIMITS)
    assert [hit.url.split("/")[2] for hit in found.hits[:2]] == ["slow.org", "quick.org"]
    assert names(found) == [("slow", "ok"), ("quick", "ok")]


@dataclass
class Picky(Scripted):
    """An engine that takes one query alone."""

    takes: str = ""

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        if query.text != self.takes:
            raise EngineError("not this one")
        return await super().search(query, page)


async def test_a_query_that_an_engine_failed_goes_to_the_next_one():
    engines = [Picky("a", takes="one"), Scripted("b")]
    found = await search([Query("one"), Query("two")], engines, SearchLimits(wanted=5, engines_at_once=1))
    assert [query for query, _ in engines[1].asked] == ["two"]
    assert {hit.url.split("/")[3] for hit in found.hits} == {"one", "two"}


async def test_what_the_filters_drop_does_not_count_as_enough():
    filters = SearchFilters(domains=("b.org",))
    found = await search([Query("q", None, filters)], [Scripted("a"), Scripted("b")], SearchLimits(wanted=15))
    assert len(found.hits) >= 15
    assert {hit.url.split("/")[2] for hit in found.hits} == {"b.org"}


@dataclass
class Dated(Scripted):
    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        return (Hit("https://a.org/old", "", date="2001-01-01"), Hit("https://a.org/undated", "")) * (page == 1)


async def test_recency_holds_where_an_engine_does_not_know_it():
    found = await search([Query("q", None, SearchFilters(recency="year"))], [Dated()], LIMITS)
    assert [hit.url for hit in found.hits] == ["https://a.org/undated"]


def frozen_engine() -> PatientEngine:
    """Make an engine that fails, for which no time passes."""
    return PatientEngine(Scripted("cold", error="answered 500"), CooldownLimits(), clock=lambda: 0.0)


async def test_a_cooling_engine_gives_its_place_to_the_next_at_once():
    cold = frozen_engine()
    with pytest.raises(SearchFailed, match=r"cold: answered 500$"):
        await search([Query("q")], [cold], LIMITS)
    found = await search([Query("q")], [cold, Scripted("warm")], LIMITS)
    assert [(report.name, report.status, report.error) for report in found.engines] == [
        ("cold", "cooling", "answered 500; asked again in 2 s"),
        ("warm", "ok", None),
    ]


async def test_all_failed_or_cooling_is_an_error_that_names_each():
    cold = frozen_engine()
    with pytest.raises(SearchFailed):
        await search([Query("q")], [cold], LIMITS)
    with pytest.raises(SearchFailed) as caught:
        await search([Query("q")], [cold, Scripted("down", error="HTTP 403")], LIMITS)
    assert caught.value.engines == {"cold": "answered 500; asked again in 2 s", "down": "HTTP 403"}


async def test_an_engine_that_is_silent_for_its_time_cools():
    hanging = PatientEngine(Scripted("hanging", delay=30), CooldownLimits(silent_seconds=0.1))
    with pytest.raises(SearchFailed):
        await search([Query("q")], [hanging], LIMITS)
    assert hanging.cooling.startswith("no answer within")


async def test_local_files_are_searched_beside_the_web_not_instead():
    files, web, spare = Scripted("local", total=60), Scripted("web"), Scripted("spare")
    found = await search([Query("q")], [files, web, spare], SearchLimits(wanted=25, engines_at_once=1))
    assert names(found) == [("local", "ok"), ("web", "ok")]
    assert len(web.asked) > 1
    found = await search([Query("q")], [web, spare, files], SearchLimits(wanted=25, engines_at_once=1))
    assert names(found) == [("web", "ok"), ("local", "ok")]


async def test_local_files_hide_no_outage_of_the_web():
    down = Scripted("down", error="HTTP 403")
    with pytest.raises(SearchFailed) as caught:
        await search([Query("q")], [Scripted("local", total=0), down], LIMITS)
    assert caught.value.engines == {"down": "HTTP 403"}
    found = await search([Query("q")], [Scripted("local", total=3), down], LIMITS)
    assert names(found) == [("local", "ok"), ("down", "failed")]


@dataclass
class Partial(Scripted):
    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        page = PartialPage(await super().search(query, page))
        page.note = "unresponsive behind it: brave timeout"
        return page


async def test_what_results_lack_is_in_the_report():
    found = await search([Query("q")], [Partial()], LIMITS)
    assert (found.engines[0].status, found.engines[0].error) == ("ok", "unresponsive behind it: brave timeout")


def test_one_site_does_not_fill_the_list():
    rows = hits(*(f"https://{host}.org/{i}" for i in range(4) for host in ("a", "www.a", "m.a")), "https://b.org/1")
    assert [hit.url for hit in spread(rows, 2)][:3] == ["https://a.org/0", "https://www.a.org/0", "https://b.org/1"]
    assert sorted(spread(rows, 2), key=rows.index) == rows
    assert list(spread(rows, 2, ["a.org"])) == rows


def test_local_files_are_no_site():
    rows = [*hits(*(f"file:///home/{i}.md" for i in range(5))), Hit("https://a.org/", "")]
    assert list(spread(rows, 2)) == rows


def test_preferred_domains_come_first_and_the_order_is_kept_otherwise():
    hits = tuple(Hit(f"https://{host}/", "T") for host in ("a.org", "b.org", "c.org", "sub.b.org"))

    first = [hit.url for hit in preferring(hits, ("b.org",))]

    assert first == ["https://b.org/", "https://sub.b.org/", "https://a.org/", "https://c.org/"]
    assert preferring(hits, ()) == hits
