from dataclasses import dataclass, field

import anyio
import pytest

from retrieval.errors import EngineError, SearchFailed
from retrieval.limits import SearchLimits
from retrieval.search import fuse, search
from retrieval.types import Hit, Query, SearchFilters

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
