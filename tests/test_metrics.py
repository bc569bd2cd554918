import json
import re
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from agent.metrics import Metrics, _verdict
from agent.pipeline import answer as whole_pipeline
from agent.types import Answer, CheckedMark, Text, Usage
from retrieval.types import Hit
from tests.test_pipeline import ASKED, Engine, piers
from tests.test_server import FakeTools, running
from tests.test_server import body as asking

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]
MONITORING = Path(__file__).parent.parent / "deploy" / "monitoring"
# The base units of Prometheus, or what a gauge or a counter counts.
UNITS = ("_seconds", "_bytes", "_total", "_info")


def read(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


async def answered(client):
    messages = [{"role": "user", "content": ASKED}]
    return (await client.post("/v1/chat/completions", json=asking(messages=messages))).json()


async def scraped(client):
    reply = await client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in read(reply.text).values()
        for sample in family.samples
    }


async def test_a_run_is_counted_by_what_it_did(web, equipped):
    hits = (*piers(web, 4), Hit(web.page("/gone", b"", status=404), "Gone"))
    async with equipped(engine := Engine(hits)) as tools, running(tools=tools, answer=whole_pipeline) as client:
        before = await scraped(client)
        done = (
            await client.post("/v1/chat/completions", json=asking(messages=[{"role": "user", "content": ASKED}]))
        ).json()
        after = await scraped(client)

    def grown(*name):
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert grown("wellread_runs_total", "completed") == 1
    assert grown("wellread_run_duration_seconds_count", "completed") == 1
    assert grown("wellread_pages_total", "read") == done["coverage"]["read"] == 4
    assert grown("wellread_pages_total", "not_found") == 1
    assert grown("wellread_engine_searches_total", *sorted(("ok", engine.name))) == 1
    assert grown("wellread_tokens_total", "prompt") == done["usage"]["prompt_tokens"]
    assert grown("wellread_time_to_answer_seconds_count") == 1
    assert grown("wellread_stage_duration_seconds_count", "fetch") == 1
    assert grown("wellread_http_requests_total", "/v1/chat/completions", "200", "POST") == 1
    assert after["wellread_runs_in_progress",] == 0
    assert after["wellread_upstream_up", "model"] == 1


async def test_runs_that_fail_or_are_left_have_their_outcome():
    async def failing(question, tools, emit):
        await emit(Text("The"))
        raise RuntimeError("a fault")

    async with running(answer=failing) as client:
        await client.post("/v1/chat/completions", json=asking())
        after = await scraped(client)

    assert after["wellread_runs_total", "internal_error"] == 1
    assert after["wellread_time_to_answer_seconds_count",] == 1


async def test_what_is_refused_at_the_door_is_counted():
    async with running(tools=FakeTools(up=False)) as client:
        await client.post("/v1/chat/completions", json=asking())
        after = await scraped(client)

    assert after["wellread_runs_total", "overloaded"] == 1


async def test_a_listener_that_fails_is_no_part_of_the_answer(monkeypatch):
    def failing(self, event):
        raise ValueError

    monkeypatch.setattr("agent.metrics.RunMeter.take", failing)
    async with running() as client:
        reply = await client.post("/v1/chat/completions", json=asking())

    assert reply.json()["choices"][0]["finish_reason"] == "stop"


async def test_a_key_is_needed_where_there_are_keys():
    async with running(api_keys=("one",)) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer one"})).status_code == 200


async def test_a_loop_that_is_held_up_is_seen():
    metrics = Metrics()
    async with anyio.create_task_group() as group:
        group.start_soon(metrics.watch_loop)
        await anyio.lowlevel.checkpoint()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:  # what holds the loop up
            pass
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    text = await anyio.to_thread.run_sync(metrics.written)
    samples = read(text.decode())["wellread_event_loop_lag_seconds"].samples
    assert next(each.value for each in samples if each.name.endswith("_sum")) >= 0.2


@pytest.mark.parametrize(
    ("mark", "verdict"),
    [
        (CheckedMark("a", "u", "u", 0, 0.9, "quote"), "supported"),
        (CheckedMark("a", "u", "v", 0, 0.9, "quote"), "moved"),
        (CheckedMark("a", "u", None, 0, 0.1), "dropped"),
        (CheckedMark("a", "u", "u", 0, 0.1), "unsupported"),
        (CheckedMark("a", "u", "u", 0), "not_judged"),
        (CheckedMark("a", None, "u", 0, 0.9, "quote"), "added"),
        (CheckedMark("a", None, None, 0), "unknown_source"),
    ],
)
def test_marks_have_a_verdict(mark, verdict):
    assert _verdict(mark) == verdict


def test_names_and_helps_keep_prometheus_rules():
    metrics = Metrics()
    metrics.run().take(Answer("", "", (), (), Usage(), "stop", None))
    for name, family in read(metrics.written().decode()).items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|count|sum|bucket|counter|gauge|histogram)$", name)
        if family.type == "histogram":
            assert name.endswith(UNITS)
        if family.type != "counter":
            assert not name.endswith("_total")


def queries():
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    yield from (rule["expr"] for group in alerts["groups"] for rule in group["rules"])


def labels_of(expression):
    grouped = [name for by in re.findall(r"by \(([^)]*)\)", expression) for name in re.split(r",\s*", by)]
    return {name for name in [*grouped, *re.findall(r"(\w+)[!=]~?\"", expression)] if name != "le"}


async def test_dashboard_and_alerts_ask_for_what_there_is(web, equipped):
    async with equipped(Engine(piers(web, 2))) as tools, running(tools=tools, answer=whole_pipeline) as client:
        await answered(client)
        families = read((await client.get("/metrics")).text)
    declared = {metric.split("{")[0] for family in families.values() for metric in _names(family)}
    labels = {name for family in families.values() for sample in family.samples for name in sample.labels}
    labels |= {"verdict", "outcome", "defense", "engine"}
    asked = list(queries())
    assert len(asked) > 20
    for expression in asked:
        names = set(re.findall(r"\b(?:wellread|process)_\w+", expression))
        assert names
        assert names <= declared, expression
        assert labels_of(expression) <= labels, expression
        assert expression.count("(") == expression.count(")")


def _names(family):
    if family.type == "histogram":
        return [f"{family.name}_{part}" for part in ("bucket", "sum", "count")]
    return [f"{family.name}_total" if family.type == "counter" else family.name]


def test_alerts_are_read_by_prometheus_yml():
    assert yaml.safe_load((MONITORING / "prometheus.yml").read_text())["rule_files"] == ["alerts.yml"]
