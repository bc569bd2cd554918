from collections import Counter
from dataclasses import dataclass, field, replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.limits import RobotsLimits
from retrieval.robots import Robots, RobotsReply, parsed
from retrieval.types import SkipReason

pytestmark = pytest.mark.anyio
LIMITS = RobotsLimits(seconds=0.5)
SITE = "https://a.example"


@dataclass
class Site:
    """Answers for robots.txt: after a delay, with a status and a text; counts how often."""

    text: str = ""
    status: int = 200
    delay_s: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    now: float = 0.0

    async def fetch(self, url: str) -> RobotsReply:
        self.asked[url] += 1
        await anyio.sleep(self.delay_s)
        return RobotsReply(self.status, self.text.encode())

    def robots(self, limits: RobotsLimits = LIMITS) -> Robots:
        return Robots(self.fetch, limits, lambda: self.now)


async def reason(robots: Robots, path: str, site: str = SITE) -> SkipReason | None:
    refusal = await robots.refusal(site + path)
    return refusal.reason if refusal else None


RULES = """\ufeffSitemap: https://a.example/map.xml
User-Agent: BadBot
Disallow: /

user-agent: wellread # that is us
User-agent: OtherBot/2.0
Disallow: /private
Allow: /private/open$
Disallow: /*?print=
Disallow: /%D1%8F
Crawl-delay: 100

User-agent: *
Disallow: /everyone
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/", True), ("/private/x", False), ("/private/open", True), ("/private/openly", False), ("/a?print=1", False),
     ("/a?page=1", True), ("/я/x", False), ("/everyone", True), ("/robots.txt", True)],
)  # fmt: skip
async def test_the_rules_for_us_are_obeyed(path, allowed):
    assert await reason(Site(RULES).robots(), path) == (None if allowed else SkipReason.ROBOTS)


@pytest.mark.parametrize(
    ("agent", "ours"),
    [("Wellread", True), ("WELLREAD", True), ("wellread/1.0", True), ("*", True), ("Well", False), ("read", False),
     ("Wellread-Images", False), ("Wellreader", False), ("Googlebot", False), ("*x", False), ("", False)],
)  # fmt: skip
async def test_only_the_whole_name_means_us(agent, ours):
    assert (await reason(Site(f"User-agent: {agent}\nDisallow: /").robots(), "/x") is not None) is ours


async def test_what_is_no_robots_txt_allows_everything():
    for text in ("", "<html><body>User-agent: *<br>Disallow: /</body></html>", "\x00\xff" * 50):
        assert await reason(Site(text).robots(), "/x") is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, None), (401, None), (403, None), (404, None), (429, None), (500, SkipReason.ROBOTS),
     (503, SkipReason.ROBOTS), (304, None)],
)  # fmt: skip
async def test_4xx_allows_and_5xx_forbids(status, expected):
    assert await reason(Site("User-agent: *\nDisallow: /", status).robots(), "/x") is expected


async def test_a_late_one_costs_a_page_its_limit_and_the_next_pages_nothing():
    site = Site(delay_s=30)
    robots = site.robots(replace(LIMITS, seconds=0.02))
    with anyio.fail_after(5):
        assert [await reason(robots, f"/{number}") for number in range(3)] == [SkipReason.TIMEOUT] * 3
    assert site.asked.total() == 1
    site.delay_s, site.now = 0, LIMITS.retry_seconds
    assert await reason(robots, "/x") is None


async def test_many_pages_at_once_make_one_fetch_of_each_origin():
    site = Site("User-agent: *\nDisallow: /no", delay_s=0.01)
    robots = site.robots()
    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(robots.refusal, f"{SITE}/{number}")
            tasks.start_soon(robots.refusal, f"http://a.example/{number}")
    assert site.asked == {"https://a.example/robots.txt": 1, "http://a.example/robots.txt": 1}


async def test_a_page_that_is_given_up_leaves_the_fetch_to_the_next():
    site = Site("User-agent: *\nDisallow: /no", delay_s=0.05)
    robots = site.robots()
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.01):
            tasks.start_soon(reason, robots, "/yes")
            await robots.refusal(SITE + "/no")
        assert await reason(robots, "/no") is SkipReason.ROBOTS


async def test_rules_are_kept_for_a_day_and_failures_for_a_minute():
    site = Site("User-agent: *\nDisallow: /no", 503)
    robots = site.robots()
    assert await reason(robots, "/x") is SkipReason.ROBOTS
    site.status, site.now = 200, LIMITS.retry_seconds - 1
    assert await reason(robots, "/x") is SkipReason.ROBOTS
    site.now += 1
    assert [await reason(robots, "/x"), await reason(robots, "/no")] == [None, SkipReason.ROBOTS]
    site.text, site.now = "", site.now + LIMITS.keep_seconds - 1
    assert await reason(robots, "/no") is SkipReason.ROBOTS
    site.now += 1
    assert await reason(robots, "/no") is None
    assert LIMITS.keep_seconds <= 86_400


async def test_a_bounded_number_and_size_is_remembered():
    site = Site("#" * 400)
    robots = site.robots(replace(LIMITS, origins=3, kept_chars=1_000))
    for name in "abcab":
        await reason(robots, "/x", f"https://{name}.example")
    assert site.asked == {f"https://{name}.example/robots.txt": times for name, times in (("a", 2), ("b", 2), ("c", 1))}
    assert len(robots._origins) <= 2
    site.text = ""
    for number in range(9):
        await reason(robots, "/x", f"https://{number}.example")
    assert len(robots._origins) == 3


async def test_half_a_megabyte_of_rules_is_read_to_its_end():
    text = "User-agent: *\n" + "Disallow: /abc\n" * 34_130 + "Disallow: /last\n"
    assert 511_000 < len(text) <= LIMITS.parsed_bytes == 500 * 1024
    assert await reason(Site(text).robots(replace(LIMITS, seconds=30)), "/last") is SkipReason.ROBOTS


async def test_a_hostile_file_costs_no_minutes():
    agents = "".join(f"User-agent: *x{number}\n" for number in range(15_000))
    text = agents + "Disallow: /a\n" * 3_000 + "User-agent: *\nDisallow: /" + "*a" * 50_000
    with anyio.fail_after(20):
        assert await reason(Site(text).robots(replace(LIMITS, seconds=20)), "/" + "a" * 4_000) is None


LINES = st.sampled_from(
    ["User-agent: ", "User-agent: *", "Disallow: /a*", "Allow: /%zz$", "Crawl-delay: x", "useragent", ""]
)


@given(st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=20), st.text(max_size=20))
def test_nothing_that_is_sent_breaks_the_reader(lines, path):
    assert parsed("\n".join(lines)).can_fetch("https://a.example/" + path, "Wellread") in {True, False}
