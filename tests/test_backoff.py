from datetime import UTC, datetime
from email.utils import format_datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.backoff import Backoff, clock_time, wait_seconds
from retrieval.limits import BackoffLimits
from retrieval.shared import InProcess

LIMITS = BackoffLimits(max_wait_seconds=600, default_wait_seconds=10)
NOW = 1_700_000_000.0
SITE = "https://a.example"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 7 ", 7), ("0", 0), ("999999999999", 600), ("-5", 10), ("1.5", 10), ("", 10), (None, 10),
     ("soon", 10), ("Tue, 14 Nov 2023 22:14:20 GMT", 60), ("Tuesday, 14-Nov-23 22:14:20 GMT", 60),
     ("Tue Nov 14 22:14:20 2023", 60), ("Tue, 14 Nov 2023 22:14:20 -0000", 60), ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
     ("Tue, 14 Nov 9999 22:14:20 GMT", 600), ("Tue, 99 Nov 2023 22:14:20 GMT", 10)],
)  # fmt: skip
def test_seconds_and_dates_are_read(header, seconds):
    assert wait_seconds(header, NOW, LIMITS) == seconds


@given(st.one_of(st.none(), st.text(), st.integers().map(str), st.datetimes().map(str)))
def test_any_header_gives_a_bounded_wait(header):
    assert 0 <= wait_seconds(header, NOW, LIMITS) <= LIMITS.max_wait_seconds


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_a_date_is_the_wait_until_it(date):
    header = format_datetime(date.replace(microsecond=0, tzinfo=UTC), usegmt=True)
    wanted = date.replace(microsecond=0, tzinfo=UTC).timestamp() - NOW
    assert wait_seconds(header, NOW, LIMITS) == min(max(wanted, 0), LIMITS.max_wait_seconds)


@pytest.mark.anyio
async def test_a_site_that_asked_for_it_is_left_alone_until_then():
    clock = Clock()
    backoff = Backoff(LIMITS, InProcess(clock=clock), clock)
    for status in (200, 404, 500):
        await backoff.note(SITE, status, "60")
    assert await backoff.until(SITE) is None
    await backoff.note(SITE, 429, "60")
    assert await backoff.until(SITE) == NOW + 60
    assert await backoff.until("https://b.example") is None
    clock.now += 60
    assert await backoff.until(SITE) is None


@pytest.mark.anyio
async def test_a_clock_of_the_day_that_is_set_back_lengthens_no_wait():
    clock, steady = Clock(), Clock()
    backoff = Backoff(LIMITS, InProcess(clock=steady), clock)
    await backoff.note(SITE, 503, "60")
    clock.now -= 86_400
    steady.now += 60
    assert await backoff.until(SITE) is None


NOTES = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 900), st.floats(0, 300)))


@given(NOTES)
def test_nobody_is_left_alone_for_longer_than_allowed(notes):
    async def noted():
        clock = Clock()
        backoff = Backoff(LIMITS, InProcess(clock=clock), clock)
        for site, seconds, passing in notes:
            await backoff.note(site, 429, str(seconds))
            ends = [end for name in "abcde" if (end := await backoff.until(name)) is not None]
            assert all(clock.now < end <= clock.now + LIMITS.max_wait_seconds for end in ends)
            clock.now += passing

    anyio.run(noted)


def test_times_are_written_for_people():
    assert clock_time(NOW + 60) == "2023-11-14 22:14:20 UTC"
