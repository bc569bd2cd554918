"""The record of a run: its parts as far as they came, for its owner alone, for a while, and never too much of them."""

import json
import logging
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

import server
from agent.errors import ModelFailed
from agent.pipeline import answer as whole_pipeline
from agent.runs import ENTRY_BYTES, RunNotes, Runs
from agent.types import Answer, CheckedMark, Context, Coverage, Plan, Progress, Reading, Source, Text, Timings, Usage
from agent.wire.openapi import SCHEMAS
from agent.wire.run_record import MOST_PASSAGES, run_body
from retrieval.types import Document, Hit, Passage, Query, Ranked, SearchFilters
from tests.test_pipeline import ASKED, Engine, piers
from tests.test_server import (
    ANSWER,
    ASKED_TWICE,
    Endless,
    broken_search,
    chunks_of,
    events,
    fault,
    post,
    running,
    tower,
    wait_until,
)
from tests.test_server import body as asking
from tests.watched import Watched

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]

KEEP = 600.0
TEXT = "It is 525 m long. It opened in 1823."
PAGE = Document("https://a.org/pier", "Pier", TEXT, "a.org", date="2026-01-02")
ROWS = (Ranked(Passage(PAGE, 0, 17), 0.9, 0.5, 0.4), Ranked(Passage(PAGE, 18, 36), 0.2, 0.2))
PLANNED = Query("brighton pier length", "en", SearchFilters(recency="year"))
NAMED, LATER = Query("chain pier"), Query("chain pier 1823", "en")
PLAN = Plan("How long is it?", "en", (PLANNED,), "no plan", further=(NAMED, LATER), addresses=("https://a.org",))
READING = Reading(
    PLAN,
    ROWS,
    Context("[webpage 1 begin]", (Source(1, PAGE, ROWS[:1]),), 1),
    Coverage(found=2, asked=1, read=1, used=1),
    Timings(1, 2, 3, 4, 5, 15),
    again=((LATER,),),
)
MARK = CheckedMark("It is 525 m long.", "https://a.org/other", PAGE.url, 18, 0.9, "525 m long")
DONE = Answer("525 m [1]", "", (), (), Usage(1, 2), "stop", Coverage(found=2, cited=1), checked=(MARK,))
NONE = {"plan", "coverage", "context", "timings_ms", "usage", "finish_reason", "error"}


def told(*happened, error=None):
    """Return the record of a run that told these, as JSON."""
    kept = []
    notes = RunNotes("chatcmpl-1", kept.append)
    for event in happened:
        notes.take(event)
    notes.end(error)
    (run,) = kept
    return valid(json.loads(json.dumps(run_body(run))))


def valid(record):
    schemas = {"$ref": "#/components/schemas/Run", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(schemas).validate(record)
    return record


# ---- what a record holds


def test_a_record_tells_the_whole_way():
    record = told(Progress("Searching\n", plan=PLAN), Progress("Read\n", reading=READING), Text("525 m"), DONE)

    assert (record["id"], record["object"], record["status"]) == ("chatcmpl-1", "run", "completed")
    assert record["began"] > 1_700_000_000
    assert record["took_ms"] >= 0
    assert record["plan"] == {
        "question": "How long is it?",
        "language": "en",
        "queries": [{"text": "brighton pier length", "language": "en", "recency": "year"}],
        "further": [{"text": "chain pier", "language": None, "recency": None}],
        "later_rounds": [[{"text": "chain pier 1823", "language": "en", "recency": None}]],
        "addresses": ["https://a.org"],
        "note": "no plan",
    }
    assert (record["coverage"]["found"], record["coverage"]["cited"]) == (2, 1)
    assert record["ranked"] == 2
    best = record["passages"][0]
    assert (best["url"], best["title"], best["date"], best["text"]) == (PAGE.url, "Pier", "2026-01-02", TEXT[:17])
    assert (best["score"], best["words"], best["vectors"]) == (0.9, 0.5, 0.4)
    assert record["passages"][1]["vectors"] is None
    assert record["context"]["text"] == "[webpage 1 begin]"
    assert record["context"]["sources"][0]["passages"] == [{"start": 0, "end": 17}]
    assert record["context"]["dropped"] == 1
    assert record["marks"] == [
        {
            "claim": "It is 525 m long.",
            "written": "https://a.org/other",
            "url": PAGE.url,
            "start": 18,
            "support": 0.9,
            "quote": "525 m long",
        }
    ]
    assert record["timings_ms"]["total"] == 15
    assert (record["usage"]["total_tokens"], record["finish_reason"], record["error"]) == (3, "stop", None)


def test_the_context_is_the_one_that_the_model_was_given_last():
    trimmed = Reading(PLAN, ROWS, Context("less", ()), READING.coverage, READING.timings)

    assert told(Progress("", reading=READING), Progress("", reading=trimmed), DONE)["context"]["text"] == "less"


def test_a_record_goes_as_far_as_the_run_came():
    nothing = told()
    planned = told(Progress("Searching\n", plan=PLAN), Progress("more\n"))
    read = told(Progress("Read\n", reading=READING), error=ModelFailed("It broke off."))
    talk = told(Text("Hello"), Answer("Hello", "", (), (), Usage(1, 2), "length", None))

    assert nothing["status"] == planned["status"] == "abandoned"
    assert {name for name, value in nothing.items() if value is None} == NONE
    assert [query["text"] for query in planned["plan"]["further"]] == ["chain pier", "chain pier 1823"]
    assert (read["status"], read["error"]["code"]) == ("failed", "upstream_error")
    assert read["coverage"]["found"] == 2
    assert read["usage"] is None
    assert (talk["status"], talk["finish_reason"], talk["plan"], talk["coverage"]) == (
        "completed",
        "length",
        None,
        None,
    )


def test_of_many_passages_the_best_are_told():
    many = Reading(PLAN, ROWS * MOST_PASSAGES, Context("", ()), Coverage(), Timings())
    record = told(Progress("", reading=many), DONE)

    assert (record["ranked"], len(record["passages"])) == (2 * MOST_PASSAGES, MOST_PASSAGES)


def test_half_a_character_breaks_no_record():
    half = Plan("\ud800", "en", (Query("\ud800"),))
    runs = Runs(KEEP, server.run_record)
    notes = runs.begin("me", "r")
    notes.take(Progress("", plan=half))
    notes.end()

    assert json.loads(runs.of("me", "r"))["plan"]["question"] == "?"


def test_a_run_ends_once():
    kept = []
    notes = RunNotes("r", kept.append)
    notes.take(DONE)
    notes.end(ModelFailed("late"))
    notes.take(Progress("", plan=PLAN))
    notes.end()

    (run,) = kept
    assert (run.status, run.plan) == ("completed", None)


# ---- how long and how much is kept


def written(run):
    return b"x" * int(run.id.partition("-")[2])


@given(st.lists(st.tuples(st.sampled_from(["me", "you"]), st.integers(0, 3_000)), max_size=30))
def test_never_more_is_kept_than_there_is_room_for(sizes):
    room = 5_000
    runs = Runs(KEEP, written, most_bytes=room)
    asked = [(owner, f"{number}-{size}") for number, (owner, size) in enumerate(sizes)]
    for owner, run_id in asked:
        runs.begin(owner, run_id).end()
        assert runs.of(owner, run_id) is not None  # the last one always fits
    kept = [record for owner, run_id in asked if (record := runs.of(owner, run_id)) is not None]

    assert sum(len(record) + ENTRY_BYTES for record in kept) <= room


def test_what_is_too_large_is_not_kept():
    runs = Runs(KEEP, written, most_bytes=1_000)
    for run_id in ("1-400", "2-900"):
        runs.begin("me", run_id).end()

    assert (runs.of("me", "1-400"), runs.of("me", "2-900")) == (b"x" * 400, None)


def test_an_owner_has_only_their_own():
    runs = Runs(KEEP, written)
    runs.begin("me", "1-10").end()
    runs.again("you", "1-10", "2-10")
    runs.again("me", "1-10", "3-10")

    assert runs.of("you", "1-10") is runs.of("you", "2-10") is None
    assert runs.of("me", "3-10") == runs.of("me", "1-10") == b"x" * 10


def test_none_is_noted_where_none_is_kept():
    assert Runs(0, written).begin("me", "1-10") is None


# ---- over HTTP


async def record_of(client, run_id, **options):
    reply = await client.get(f"/v1/runs/{run_id}", **options)
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    return valid(reply.json())


async def missing(client, run_id, **options):
    reply = await client.get(f"/v1/runs/{run_id}", **options)
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "run_not_found")
    return error["message"]


async def until(status, client, run_id):
    with anyio.fail_after(3):
        while (await client.get(f"/v1/runs/{run_id}")).status_code != status:  # noqa: ASYNC110 - it is told to who asks
            await anyio.sleep(0.01)


async def read_tower(question, tools, emit):
    await emit(Progress("Searching\n", plan=PLAN))
    await emit(Progress("Read\n", reading=READING))
    await tower(question, tools, emit)


async def test_no_run_is_kept_by_default():
    async with running() as client:
        done = await post(client, json=asking())
        message = await missing(client, done.json()["id"])

    assert "WELLREAD_RUN_SECONDS" in message
    assert "x-run-id" not in done.headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("stream", [True, False])
async def test_both_apis_leave_a_record_streamed_and_not(path, stream):
    fields = ASKED_TWICE if path == "/v1/responses" else asking()
    async with running(answer=read_tower, run_seconds=KEEP) as client:
        reply = await client.post(path, json={**fields, "stream": stream})
        run_id = reply.headers["x-run-id"]
        record = await record_of(client, run_id)
        without_version = await client.get(f"/runs/{run_id}")

    assert f'"id":"{run_id}"' in reply.text
    assert record["id"] == run_id
    assert (record["status"], record["plan"]["question"], record["ranked"]) == ("completed", "How long is it?", 2)
    assert record["usage"]["total_tokens"] == ANSWER.usage.prompt + ANSWER.usage.completion
    assert without_version.json() == record


async def test_the_record_is_there_as_soon_as_the_answer_has_ended():
    kept = running(answer=read_tower, run_seconds=KEEP)
    asked = {"json": asking(stream=True)}
    async with kept as client, client.stream("POST", "/v1/chat/completions", **asked) as response:
        async for line in response.aiter_lines():
            chunk = json.loads(line.removeprefix("data: ") or "{}")
            if chunk.get("choices", [{}])[0].get("finish_reason"):
                break
        record = await record_of(client, chunk["id"])

    assert record["status"] == "completed"


async def test_only_the_owner_is_given_a_record_and_others_no_hint_that_there_is_one():
    async with running(api_keys=("one", "two"), run_seconds=KEEP) as client:
        mine, other = ({"authorization": f"Bearer {key}"} for key in ("one", "two"))
        run_id = (await post(client, json=asking(), headers=mine)).json()["id"]
        await record_of(client, run_id, headers=mine)
        foreign = await missing(client, run_id, headers=other)
        unknown = await missing(client, "chatcmpl-0", headers=mine)
        nobody = await client.get(f"/v1/runs/{run_id}")

    assert foreign == unknown
    assert run_id not in foreign
    assert nobody.status_code == 401


async def test_a_record_is_kept_for_its_time_only():
    async with running(run_seconds=0.1) as client:
        run_id = (await post(client, json=asking())).json()["id"]
        await until(404, client, run_id)
        assert await missing(client, run_id) == await missing(client, "chatcmpl-0")


@pytest.mark.parametrize(("answer", "code"), [(broken_search, "upstream_error"), (fault, "internal_error")])
async def test_a_run_that_failed_has_its_record(answer, code):
    async def after_reading(question, tools, emit):
        await emit(Progress("Read\n", reading=READING))
        await answer(question, tools, emit)

    async with running(answer=after_reading, run_seconds=KEEP) as client:
        whole = await post(client, json=asking())
        record = await record_of(client, whole.headers["x-run-id"])
        async with client.stream("POST", "/v1/chat/completions", json=asking(stream=True)) as response:
            first, *_ = await events(response)
        streamed = await record_of(client, json.loads(first)["id"])

    for one in (record, streamed):
        assert (one["status"], one["error"]) == ("failed", whole.json()["error"])
        assert (one["error"]["code"], one["coverage"]["found"], one["ranked"]) == (code, 2, 2)


async def test_a_run_that_was_not_finished_in_time_has_its_record():
    async def late(question, tools, emit):
        await emit(Progress("Searching\n", plan=PLAN))
        await anyio.sleep_forever()

    async with running(answer=late, run_seconds=KEEP, answer_seconds=0.1) as client:
        reply = await post(client, json=asking())
        record = await record_of(client, reply.headers["x-run-id"])

    assert (record["status"], record["error"]["code"]) == ("failed", "timeout")
    assert record["plan"]["queries"][0]["text"] == "brighton pier length"


async def test_a_run_whose_client_left_has_its_record():
    endless = Endless()
    async with running(answer=endless, run_seconds=KEEP) as client:
        async with client.stream("POST", "/v1/responses", json={**ASKED_TWICE, "stream": True}) as response:
            run_id = response.headers["x-run-id"]
            await wait_until(lambda: endless.running)
            assert await missing(client, run_id)
        await endless.cancelled.wait()
        await until(200, client, run_id)
        record = await record_of(client, run_id)

    assert (record["status"], record["error"]) == ("abandoned", None)


async def test_an_answer_given_again_leads_to_the_run_that_made_it():
    async with running(answer=read_tower, run_seconds=KEEP) as client:
        first = (await post(client, json=asking())).json()
        again = (await post(client, json=asking(), headers={"x-stainless-retry-count": "1"})).json()
        record = await record_of(client, again["id"])

    assert again["id"] != first["id"] == record["id"]
    assert record["ranked"] == 2


async def test_a_request_that_is_refused_leaves_no_record():
    async with running(run_seconds=KEEP) as client:
        refused = await post(client, json=asking(n=2))

    assert refused.status_code == 400
    assert "x-run-id" not in refused.headers


async def test_nothing_of_a_record_goes_to_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    async with running(answer=read_tower, run_seconds=KEEP) as client:
        run_id = (await post(client, json=asking("A secret of mine"))).json()["id"]
        await record_of(client, run_id)

    assert "/v1/runs/{id}" in caplog.text
    ours = "\n".join(row.getMessage() for row in caplog.records if row.name == "wellread")
    for private in ("secret", "brighton", TEXT[:17], run_id):
        assert private not in ours


# ---- over the whole pipeline


@asynccontextmanager
async def whole(equipped, engine, model=None):
    async with (
        equipped(engine, model=model) as tools,
        running(answer=whole_pipeline, tools=tools, run_seconds=KEEP) as c,
    ):
        yield c


async def test_the_pipeline_tells_what_it_planned_and_read(web, equipped):
    async with whole(equipped, Engine(piers(web, 4))) as client:
        done = (await post(client, json=asking(ASKED))).json()
        record = await record_of(client, done["id"])

    assert record["status"] == "completed"
    assert (record["plan"]["question"], record["plan"]["language"]) == (ASKED, "en")
    assert record["plan"]["queries"][0]["text"] == ASKED
    assert record["coverage"] == done["coverage"]
    assert record["usage"] == done["usage"]
    assert record["ranked"] == len(record["passages"]) == 4
    assert record["passages"][0]["url"] == web.base + "/3"
    assert [row["score"] for row in record["passages"]] == sorted(
        (r["score"] for r in record["passages"]), reverse=True
    )
    assert record["context"]["text"].startswith("[webpage 1 begin]\nPier 3")
    assert [source["number"] for source in record["context"]["sources"]] == [1, 2, 3, 4]
    assert 0 < record["timings_ms"]["total"] <= record["took_ms"]
    times = [step["at_ms"] for step in record["steps"]]
    assert times == sorted(times)
    assert times[-1] <= record["took_ms"]
    told = {page["url"]: page["ms"] for page in record["coverage"]["pages"]}
    assert {page["url"]: page["ms"] for step in record["steps"] if (page := step.get("page"))} == told
    assert [step["begins"] for step in record["steps"] if "begins" in step] == ["reasoning", "answer"]


async def test_a_model_that_fails_after_the_reading_leaves_what_was_read(web, equipped):
    broken = Watched(error=ModelFailed("It broke off."))
    async with whole(equipped, Engine(piers(web, 3)), broken) as client:
        reply = await post(client, json=asking(ASKED))
        record = await record_of(client, reply.headers["x-run-id"])

    assert (reply.status_code, record["status"], record["error"]["message"]) == (502, "failed", "It broke off.")
    assert record["coverage"]["read"] == record["ranked"] == 3
    assert record["context"]["text"]


async def test_engines_that_fail_leave_what_was_planned(equipped):
    async with whole(equipped, Engine(error="HTTP 403")) as client:
        chunks = chunks_of(await post(client, json=asking(ASKED, stream=True)))
        record = await record_of(client, chunks[0]["id"])

    assert (record["status"], record["error"]["code"]) == ("failed", "upstream_error")
    assert record["plan"]["queries"][0]["text"] == ASKED
    assert record["coverage"] is None


async def test_an_answer_without_a_search_has_a_record_without_one(equipped):
    async with whole(equipped, Engine()) as client:
        done = (await post(client, json=asking(ASKED, model="wellread-chat"))).json()
        record = await record_of(client, done["id"])

    assert (record["status"], record["plan"], record["coverage"], record["passages"]) == ("completed", None, None, [])
    assert record["usage"] == done["usage"]


async def test_every_step_and_page_is_told_to_those_who_watch(web, equipped):
    hits = piers(web, 3)
    web.page("/gone", b"", status=404)
    async with whole(equipped, Engine((*hits, Hit(f"{web.base}/gone", "Gone")))) as client:
        chunks = chunks_of(await post(client, json=asking(ASKED, stream=True), headers={"x-watch": "on"}))
        plain = chunks_of(await post(client, json=asking(ASKED, stream=True)))
    steps = [chunk["wellread"] for chunk in chunks if "wellread" in chunk]
    pages = {step["page"]["asked"]: step["page"] for step in steps if "page" in step}

    assert steps[0]["searching"]
    assert {url for step in steps for url in step.get("found", ())} == pages.keys()
    assert {page["status"] for page in pages.values()} == {"read", "skipped"}
    assert pages[f"{web.base}/gone"] | {"ms": 0} == {
        "asked": f"{web.base}/gone", "url": f"{web.base}/gone", "title": "Gone", "status": "skipped",
        "reason": "not_found", "ms": 0, "bytes": 0, "cached": False,
    }  # fmt: skip
    assert set(steps[-1]["sources"]) == {hit.url for hit in hits}
    assert all(chunk["choices"][0]["delta"] == {} for chunk in chunks if "wellread" in chunk)
    assert not any("wellread" in chunk for chunk in plain)
