"""Two whole servers behind nginx, sharing a Redis server: what holds for one holds for both, and either may die.

`make test-scale`; where nginx or redis-server is not installed, the tests say so and are skipped.
"""

import signal
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass

import anyio
import httpx2
import pytest
from redis import Redis

from retrieval.limits import FetchLimits
from tests import web as local
from tests.cluster import A_MINUTE, AT_ONCE, MISSING, PAGES, cluster, nginx, up

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.scale,
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed"),
]

# How long a busy machine may take for what takes seconds.
PATIENCE_SECONDS = 120
PAGE_SECONDS = 0.15
# More than the fail_timeout of nginx's configuration, which counts whole seconds.
LEFT_ALONE_SECONDS = 7.0


@pytest.fixture(scope="module")
async def started(tmp_path_factory):
    async with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
async def both(started):
    """Both servers, well, and knowing nothing yet."""
    started.site.forget()
    started.engine.refusing, started.engine.asked = False, 0
    with closing(Redis(port=started.redis_port)) as redis:
        redis.flushall()
    await until_degraded(started, {})
    return started


async def until_degraded(both, degraded):
    """Wait until both servers tell that they do without this."""
    with anyio.fail_after(PATIENCE_SECONDS):
        for number in range(2):
            while await both.degraded(number) != degraded:  # noqa: ASYNC110  (it sees by itself)
                await anyio.sleep(0.1)


@dataclass(frozen=True)
class Outcome:
    """What became of a question, and when it was asked."""

    status: int
    asked_at: float
    read: int = 0


async def asked(both, count, at_once=8, meanwhile=None):
    """Ask many questions through nginx, so many at once; give what became of them, and what happened meanwhile."""
    outcomes, numbers = [], iter(range(count))

    async def ask():
        for number in numbers:
            at = anyio.current_time()
            try:
                reply = await both.ask(f"How long is the pier, by account {number}?")
            except httpx2.TransportError:
                outcomes.append(Outcome(0, at))
                continue
            read = reply.json()["coverage"]["read"] if reply.status_code == 200 else 0
            outcomes.append(Outcome(reply.status_code, at, read))

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(ask)
            if meanwhile:
                tasks.start_soon(meanwhile, outcomes)
    return outcomes


async def until(true):
    """Wait until something turns true."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110  (other processes do it)
            await anyio.sleep(0.02)


async def back(both, number):
    """Start a server again, and wait until nginx counts on it: it tries one that failed by one request."""
    failed_last, log = anyio.current_time(), both.folder / "access.log"
    both.servers[number].start()
    await up(both.client, f"{both.bases[number]}/ready")
    await anyio.sleep_until(failed_last + LEFT_ALONE_SECONDS)
    known = len(log.read_text())
    with anyio.fail_after(PATIENCE_SECONDS):
        while both.bases[number].removeprefix("http://") not in log.read_text()[known:]:
            await both.client.get(f"{both.base}/ready")


# ---- what holds for both together


async def test_a_host_is_asked_for_few_pages_at_once_by_both_together(both):
    both.site.seconds = PAGE_SECONDS
    outcomes = await asked(both, 12)
    assert [(each.status, each.read) for each in outcomes] == [(200, PAGES)] * 12
    assert both.asked_of >= {base.removeprefix("http://") for base in both.bases}
    assert both.site.most_open == FetchLimits().per_host


async def test_an_engine_that_refuses_one_is_left_alone_by_the_other(both):
    both.engine.refusing = True
    first, second = [await both.ask(base=base) for base in both.bases]
    assert (first.status_code, second.status_code) == (502, 502)
    assert "answered 429" in first.json()["error"]["message"]
    assert "asked again in" in second.json()["error"]["message"]
    assert both.engine.asked == 1


async def test_a_site_that_asks_one_to_wait_is_left_alone_by_the_other(both):
    both.site.told = 600
    first = await both.ask(base=both.bases[0])
    hits = sum(both.site.hits.values())
    second = await both.ask(base=both.bases[1])
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["coverage"]["skipped"] == {"rate_limited": PAGES}
    # Not even for its robots.txt.
    assert sum(both.site.hits.values()) == hits


async def test_a_key_has_its_minute_once_for_both(both):
    key = both.keys.pop()
    replies = [await both.ask(key=key, base=both.bases[number % 2]) for number in range(A_MINUTE + 2)]
    assert [reply.status_code for reply in replies] == [200] * A_MINUTE + [429] * 2
    left = [int(reply.headers["x-ratelimit-remaining-requests"]) for reply in replies]
    assert left == [2, 1, 0, 0, 0]
    assert {reply.headers["x-ratelimit-limit-requests"] for reply in replies} == {str(A_MINUTE)}
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 60


async def test_a_key_has_so_many_requests_at_once_for_both(both):
    key, statuses = both.keys.pop(), []
    both.site.seconds = 2.0

    async def ask(number):
        statuses.append((await both.ask(key=key, base=both.bases[number % 2])).status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(AT_ONCE):
            tasks.start_soon(ask, number)
        # Both are at work.
        await until(lambda: both.engine.asked >= AT_ONCE)
        refused = await both.ask(key=key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert statuses == [200] * AT_ONCE


# ---- nginx


async def test_a_stream_comes_through_as_it_is_written(both):
    both.site.seconds = 1.0
    body = {"model": "wellread-quick", "stream": True, "messages": [{"role": "user", "content": "How long?"}]}
    headers = {"Authorization": f"Bearer {both.keys.pop()}", "X-Request-Id": "mine-1"}
    url = f"{both.base}/v1/chat/completions"
    async with both.client.stream("POST", url, json=body, headers=headers) as reply:
        assert (reply.status_code, reply.headers["x-request-id"]) == (200, "mine-1")
        lines = reply.aiter_lines()
        first = await anext(lines)
        # The pages are still on their way.
        assert both.site.hits.total() < PAGES
        rest = [line async for line in lines if line]
    assert first.startswith("data: ")
    assert rest[-1] == "data: [DONE]"


async def test_a_body_that_is_too_large_is_refused(both):
    for size in (2_050_000, 3_000_000):
        assert (await both.ask("x" * size)).status_code == 413


async def test_the_record_of_a_run_is_asked_of_both(both):
    headers = {"Authorization": f"Bearer {both.keys.pop()}"}
    reply = await both.client.get(f"{both.base}/v1/runs/nothing", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "run_not_found")
    assert (both.folder / "access.log").read_text().splitlines()[-1].count("404") == 3


@dataclass
class Scripted(local.Web):
    """A server that is well, and to what is posted answers as told, or closes the connection where told nothing."""

    answer: local.Reply | None = None

    async def reply(self, reply, reader, writer):
        path = self.heads[-1].split()[1]
        if path == b"/health":
            reply = local.Reply(b"{}")
        elif self.answer is None:
            raise ConnectionResetError
        else:
            reply = self.answer
        await super().reply(reply, reader, writer)

    @property
    def asked(self):
        """How often more was asked of it than whether it is well."""
        return self.hits.total() - self.hits["/health"]


async def posted(folder, answer):
    """Post once through nginx to two servers that answer alike; give the reply, and how often each was asked."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(local.running(Scripted(answer=answer))) for _ in range(2)]
        port = local.free_port()
        front = nginx(port, [each.port for each in servers], folder)
        front.start()
        stack.push_async_callback(front.stop)
        base = f"http://127.0.0.1:{port}"
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base, trust_env=False))
        await up(client, f"{base}/health")
        reply = await client.post("/v1/chat/completions", json={})
    return reply, sorted(each.asked for each in servers)


SAID = b'{"error": {"message": "said so"}}'


async def test_what_was_refused_before_work_is_asked_of_all(tmp_path):
    reply, asked_of = await posted(tmp_path, local.Reply(SAID, 503))
    assert (reply.status_code, reply.json()["error"]["message"]) == (503, "said so")
    # Once by the one that refused first, and once more by each.
    assert asked_of == [1, 2]


async def test_what_failed_after_work_is_not_done_again(tmp_path):
    reply, asked_of = await posted(tmp_path, local.Reply(SAID, 503, (("x-should-retry", "false"),)))
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "overloaded")
    assert asked_of == [0, 1]


@pytest.mark.parametrize("status", [429, 500, 502, 504])
async def test_other_errors_are_passed_on_as_they_are(tmp_path, status):
    reply, asked_of = await posted(tmp_path, local.Reply(SAID, status))
    assert (reply.status_code, reply.content) == (status, SAID)
    assert asked_of == [0, 1]


async def test_what_was_sent_to_a_server_that_breaks_off_is_not_posted_again(tmp_path):
    reply, asked_of = await posted(tmp_path, None)
    assert reply.status_code == 502
    assert asked_of == [0, 1]


# ---- what dies


@pytest.mark.parametrize("number", [0, 1])
async def test_either_server_is_killed_and_the_other_serves_on(both, number):
    both.site.seconds = PAGE_SECONDS
    killed_at = []

    async def kill(outcomes):
        await until(lambda: len(outcomes) >= 8)
        await both.servers[number].stop(signal.SIGKILL)
        killed_at.append(anyio.current_time())

    outcomes = await asked(both, 32, meanwhile=kill)
    await back(both, number)
    before = [each for each in outcomes if each.asked_at <= killed_at[0]]
    after = [each for each in outcomes if each.asked_at > killed_at[0]]
    # Those that the dead one was answering are lost, and nothing else is: their clients ask again by themselves.
    assert {each.status for each in before} <= {200, 502}
    assert len([each for each in before if each.status != 200]) <= 8
    assert len(after) >= 8
    assert {(each.status, each.read) for each in after} == {(200, PAGES)}
    assert both.site.most_open <= FetchLimits().per_host


async def test_the_places_that_a_dead_server_held_are_freed(both):
    both.site.seconds = 600.0
    async with anyio.create_task_group() as tasks:

        async def hang():
            with pytest.raises(httpx2.TransportError):
                await both.ask(base=both.bases[0])

        tasks.start_soon(hang)
        await until(lambda: both.site.open == FetchLimits().per_host)
        await both.servers[0].stop(signal.SIGKILL)
    both.site.seconds = 0.0
    with anyio.fail_after(PATIENCE_SECONDS):
        reply = await both.ask(base=both.bases[1])
    await back(both, 0)
    assert reply.json()["coverage"]["read"] == PAGES


async def test_a_server_that_is_stopped_loses_no_question(both):
    both.site.seconds = PAGE_SECONDS

    async def stop(outcomes):
        await until(lambda: len(outcomes) >= 4)
        await both.servers[0].stop(signal.SIGTERM)

    outcomes = await asked(both, 24, meanwhile=stop)
    await back(both, 0)
    assert [(each.status, each.read) for each in outcomes] == [(200, PAGES)] * 24
    # One was refused by it, and answered by the other.
    assert " 503 : " in (both.folder / "access.log").read_text()


async def test_without_redis_answers_go_on_and_with_it_they_share_again(both):
    await both.redis.stop()
    outcomes = await asked(both, 4)
    assert [(each.status, each.read) for each in outcomes] == [(200, PAGES)] * 4
    await until_degraded(both, {"shared": "does not answer: this process counts for itself"})
    assert [(await both.client.get(f"{base}/ready")).status_code for base in both.bases] == [200, 200]
    told = await both.client.get(f"{both.bases[0]}/metrics", headers={"Authorization": f"Bearer {both.keys.pop()}"})
    assert 'wellread_upstream_up{upstream="shared"} 0.0' in told.text
    both.redis.start()
    await until_degraded(both, {})
    both.site.forget()
    both.site.seconds = PAGE_SECONDS
    outcomes = await asked(both, 8)
    assert [(each.status, each.read) for each in outcomes] == [(200, PAGES)] * 8
    assert both.site.most_open == FetchLimits().per_host
    for server in both.servers:
        assert server.log.count("what replicas share cannot be had") == server.log.count("can be had again") == 1


# ---- without anything shared


async def test_servers_that_share_nothing_ask_more_than_one_would(tmp_path):
    async with cluster(tmp_path, shares=False) as apart:
        apart.site.seconds = PAGE_SECONDS
        outcomes = await asked(apart, 12)
        assert [(each.status, each.read) for each in outcomes] == [(200, PAGES)] * 12
        assert apart.site.most_open > FetchLimits().per_host
        key = apart.keys.pop()
        replies = [await apart.ask(key=key, base=apart.bases[number % 2]) for number in range(A_MINUTE + 2)]
        assert [reply.status_code for reply in replies] == [200] * (A_MINUTE + 2)
