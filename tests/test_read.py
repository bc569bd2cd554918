from collections import Counter
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.limits import FetchLimits
from retrieval.read import read_pages
from retrieval.types import Document, Hit, Page, Skipped, SkipReason

pytestmark = pytest.mark.anyio
LIMITS = FetchLimits(wanted=3, total_seconds=2.0, hedge_seconds=0.5)


@dataclass
class Script:
    """What each path does: its delay to fetch and to clean, and its text or why there is none."""

    fetch_s: float = 0.0
    extract_s: float = 0.0
    text: str | None = None
    skip: SkipReason | None = None


@dataclass
class Scripted:
    """A fetcher and an extractor in one."""

    scripts: dict[str, Script] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def fetch(self, hit: Hit) -> Page | Skipped:
        self.asked.append(hit.url)
        script = self.scripts.get(hit.url, Script())
        try:
            await anyio.sleep(script.fetch_s)
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(hit.url)
            raise
        if script.skip:
            return Skipped(hit.url, script.skip)
        return Page(hit, hit.url, "text/html", None, b"", 1)

    async def extract(self, page: Page) -> Document | Skipped:
        script = self.scripts.get(page.url, Script())
        await anyio.sleep(script.extract_s)
        if script.text == "":
            return Skipped(page.hit.url, SkipReason.EMPTY)
        return Document(page.url, "T", script.text or f"text of {page.url}", "a.b")


def hits(count: int) -> list[Hit]:
    return [Hit(f"https://a.b/{number}", "T") for number in range(count)]


async def read(count: int, scripts: dict[int, Script] | None = None, limits=LIMITS, on_page=None):
    web = Scripted({f"https://a.b/{number}": script for number, script in (scripts or {}).items()})
    seen = []

    async def note(read: int, hit, outcome) -> None:
        seen.append((read, outcome.url[-1]))
        await anyio.lowlevel.checkpoint()

    pages = await read_pages(hits(count), web, web, limits, on_page or note)
    return pages, web, seen


def shown(pages) -> list[str]:
    return [f"{outcome.url[-1]} {getattr(outcome, 'reason', 'read')}" for outcome in pages.outcomes]


async def test_the_order_is_that_of_the_hits_not_of_arrival():
    pages, _, seen = await read(3, {0: Script(0.06), 1: Script(0.03, 0.01), 2: Script()})
    assert [document.url[-1] for document in pages.documents] == ["0", "1", "2"]
    assert seen == [(1, "2"), (2, "1"), (3, "0")]


async def test_it_stops_when_enough_are_read_and_the_rest_is_late():
    scripts = {0: Script(30.0), 1: Script(0.0, 30.0)}
    pages, web, _ = await read(9, scripts, replace(LIMITS, hedge_seconds=0.02, hedge_extract_seconds=0.02))
    assert shown(pages) == ["0 late", "1 late", "2 read", "3 read", "4 read"]
    assert web.cancelled == ["https://a.b/0"]
    assert not pages.deadline_hit


async def test_no_more_are_asked_than_wanted_while_they_come():
    pages, web, _ = await read(9)
    assert shown(pages) == ["0 read", "1 read", "2 read"]
    assert len(web.asked) == 3


async def test_skipped_pages_are_replaced_from_the_reserve():
    scripts = {0: Script(skip=SkipReason.FORBIDDEN), 2: Script(0.01, skip=SkipReason.TIMEOUT), 3: Script(text="")}
    pages, _, _ = await read(9, scripts)
    assert shown(pages) == ["0 forbidden", "1 read", "2 timeout", "3 empty", "4 read", "5 read"]


async def test_a_slow_page_no_longer_holds_back_the_next_but_still_counts():
    scripts = {0: Script(0.15), **{number: Script(0.3) for number in range(3, 9)}}
    pages, _, _ = await read(9, scripts, replace(LIMITS, hedge_seconds=0.05))
    assert shown(pages)[:4] == ["0 read", "1 read", "2 read", "3 late"]


async def test_a_slow_page_frees_its_place_once():
    scripts = {0: Script(0.4, skip=SkipReason.TIMEOUT), **{number: Script(4.0) for number in range(2, 9)}}
    limits = replace(LIMITS, wanted=2, hedge_seconds=0.2, total_seconds=0.56)
    _, web, _ = await read(9, scripts, limits)
    # 0 and 1 at first, 2 for the slow 0, 3 for the slow 2 after a hedge more; the end of 0 makes no room of its own.
    assert [url[-1] for url in web.asked] == ["0", "1", "2", "3"]


async def test_at_the_deadline_what_came_is_taken():
    scripts = {1: Script(30.0), 2: Script(0.0, 30.0)}
    pages, _, _ = await read(3, scripts, replace(LIMITS, total_seconds=0.1))
    assert shown(pages) == ["0 read", "1 late", "2 late"]
    assert pages.deadline_hit


async def test_hits_that_run_out_are_no_deadline():
    pages, _, _ = await read(2, {1: Script(0.01, 0.02)})
    assert not pages.deadline_hit
    assert len(pages.documents) == 2
    assert pages.extract_ms >= 20
    assert pages.extract_ms >= pages.fetch_ms >= 10


async def test_nothing_to_read_is_nothing_read():
    pages, _, seen = await read(0)
    assert (pages.outcomes, pages.documents, pages.deadline_hit, seen) == ((), (), False, [])


async def test_the_same_text_counts_once():
    pages, _, _ = await read(9, {0: Script(text="same"), 1: Script(0.01, text="same")})
    assert shown(pages) == ["0 read", "1 duplicate", "2 read", "3 read"]


ARTICLE = " ".join(f"word{number}" for number in range(400))


async def test_a_mirror_counts_once_and_its_address_is_kept():
    scripts = {0: Script(text=ARTICLE), 2: Script(text=f"{ARTICLE} Another footer.")}
    pages, _, _ = await read(5, scripts)
    assert shown(pages) == ["0 read", "1 read", "2 duplicate", "3 read"]
    assert pages.documents[0].also_at == ("https://a.b/2",)
    assert pages.outcomes[2].detail == "the same text as https://a.b/0"


async def test_of_copies_the_first_in_order_is_kept_whichever_came_first():
    scripts = {0: Script(fetch_s=0.1, text=ARTICLE), 1: Script(text=ARTICLE), 2: Script(text=f"{ARTICLE} Footer.")}
    pages, _, seen = await read(6, scripts)
    assert shown(pages)[:3] == ["0 read", "1 duplicate", "2 duplicate"]
    assert len(pages.documents) == 3
    assert pages.documents[0].also_at == ("https://a.b/1", "https://a.b/2")
    assert seen[-1][0] == 3


async def test_never_more_are_read_than_wanted():
    async def slow_note(*_) -> None:
        await anyio.sleep(0.05)

    scripts = {number: Script(0.06) for number in range(6)}
    limits = replace(LIMITS, wanted=2, hedge_seconds=0.01)
    pages, _, _ = await read(6, scripts, limits, slow_note)
    assert len(pages.documents) == 2


async def test_a_failing_listener_ends_the_reading():
    async def failing(*_) -> None:
        raise ConnectionResetError

    with anyio.fail_after(1), pytest.raises(ExceptionGroup) as caught:
        await read(3, {1: Script(30.0)}, on_page=failing)
    assert caught.group_contains(ConnectionResetError)


SCRIPTS = st.builds(
    Script,
    fetch_s=st.sampled_from([0.0, 0.0, 0.002, 0.004, 5.0]),
    extract_s=st.sampled_from([0.0, 0.0, 0.002, 5.0]),
    text=st.sampled_from([None, None, None, "", "same"]),
    skip=st.sampled_from([None, None, None, SkipReason.NOT_FOUND]),
)


@settings(max_examples=25)
@given(scripts=st.lists(SCRIPTS, max_size=12), wanted=st.integers(1, 5))
def test_every_page_asked_has_one_outcome(scripts, wanted):
    limits = FetchLimits(wanted=wanted, total_seconds=0.03, hedge_seconds=0.003)
    pages, web, seen = anyio.run(read, len(scripts), dict(enumerate(scripts)), limits)
    order = [hit.url for hit in hits(len(scripts))]
    outcomes = [outcome.url for outcome in pages.outcomes]
    assert outcomes == order[: len(outcomes)]
    assert set(web.asked) <= set(outcomes)
    assert len(pages.documents) <= wanted
    assert max(Counter(document.text for document in pages.documents).values(), default=1) == 1
    late = sum(isinstance(row, Skipped) and row.reason is SkipReason.LATE for row in pages.outcomes)
    assert len(seen) == len(outcomes) - late
