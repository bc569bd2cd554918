"""`wellread doctor`: every part is looked at by itself, in its time; nothing secret is told."""

import json
import socket
import threading
from contextlib import closing
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.build import Parts
from agent.doctor import machine, parts, surroundings
from agent.doctor.finding import failed, ok, warning
from agent.doctor.secrets import HIDDEN, masked, secrets, shown
from agent.doctor.visit import Check, checks, examine, visit
from agent.errors import BadSettings
from agent.settings import Settings, variables
from tests.test_server import FakeTools, running
from tests.web import Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]

HOME = {"search": ("sample",), "embedded_model": "echo", "embedder": "hashing", "cache": SecretStr("off")}


def settings(**given):
    return Settings(**HOME | given)


async def told(*todo, hidden=(), **options):
    lines = []
    code = await examine(todo, hidden, lines.append, **options)
    return code, lines


# Telling


async def test_findings_are_lines_for_people_and_objects_for_programs():
    async def look():
        return [ok("a", "fine"), warning("b", "slow: do this."), failed("c", "down: do that.")]

    assert await told(Check("x", look)) == (1, ["a: ok, fine", "b: warning: slow: do this.", "c: down: do that."])
    code, (text,) = await told(Check("x", look), as_json=True)
    rows = json.loads(text)
    assert (code, rows["ok"]) == (1, False)
    assert [(row["name"], row["state"], row["text"]) for row in rows["checks"]][1] == ("b", "warning", "slow: do this.")
    assert all(row["seconds"] >= 0 for row in rows["checks"])


async def test_warnings_are_no_failure():
    async def look():
        return warning("b", "slow")

    assert (await told(Check("x", look)))[0] == 0


async def test_a_check_that_hangs_or_breaks_hides_no_other():
    async def hangs():
        await anyio.sleep_forever()

    async def breaks():
        raise ZeroDivisionError("with s3cret words")

    async def refuses():
        raise ExceptionGroup("many", [BadSettings("WELLREAD_X: do this."), ExceptionGroup("", [KeyError("s3cret")])])

    async def well():
        return ok("d", "fine")

    code, lines = await told(Check("a", hangs, 0.01), Check("b", breaks), Check("c", refuses), Check("d", well))
    assert code == 1
    assert lines[0].startswith("a: no answer within 0.01 s")
    assert lines[1].startswith("b: the check itself failed (ZeroDivisionError)")
    assert lines[2].startswith("c: WELLREAD_X: do this.; the check itself failed (KeyError)")
    assert lines[3] == "d: ok, fine"
    assert "s3cret" not in "".join(lines)


async def test_a_blocking_check_that_hangs_is_left_behind():
    end = threading.Event()
    todo = Check("a", lambda: anyio.to_thread.run_sync(end.wait, abandon_on_cancel=True), 0.01)
    try:
        assert (await told(todo))[0] == 1
    finally:
        end.set()


async def test_wrong_settings_hide_no_check_of_the_machine(monkeypatch):
    monkeypatch.setenv("WELLREAD_MODLE_URL", "http://127.0.0.1/v1")
    lines = []

    assert await visit(lines.append) == 1

    assert [line.partition(":")[0] for line in lines] == ["python", "packages", "processor", "gpu", "clock", "settings"]
    assert "did you mean WELLREAD_MODEL_URL?" in lines[-1]


async def test_everything_that_the_settings_name_is_looked_at(tmp_path):
    opened = settings(models_dir=tmp_path, port=0)
    names = [check.name for check in checks(opened)]
    assert names[-9:-5] == ["weights", "cache", "shared", "remembered"]
    assert names[-5:] == ["reading", "embedder", "reranker", "search", "model"]

    found = {check.name: check for check in checks(opened)}
    here = [replace(found[name], seconds=300) for name in names if name not in {"network", "memory"}]
    code, lines = await told(*here)
    assert code == 0, lines
    assert lines[-1].startswith("model: ok, echo, 32768 tokens, its first one after ")
    assert any(line.startswith("search sample: ok, ") for line in lines)
    assert any(line.startswith("embedder: ok, hashing, ") for line in lines)
    assert any(line.startswith("reading: ok, a page was cleaned in ") for line in lines)


async def test_what_replicas_share_and_what_was_read_before_are_looked_at(tmp_path):
    (tmp_path / "taken").write_text("something else")
    for named, told_of in (
        ({"shared": SecretStr("redis://:s3cret@127.0.0.1:1/0")}, "shared: WELLREAD_SHARED: "),
        ({"memory": SecretStr(str(tmp_path / "taken"))}, "remembered: WELLREAD_MEMORY: "),
    ):
        found = [check for check in checks(settings(**named)) if check.name in {"shared", "remembered"}]
        code, lines = await told(*found)
        assert code == 1
        assert [line for line in lines if line.startswith(told_of)]
        assert "s3cret" not in "".join(lines)
    found = [check for check in checks(settings(memory=SecretStr(str(tmp_path / "new")))) if check.name == "remembered"]
    assert await told(*found) == (0, ["remembered: ok, the memory of what was read can be opened and read"])


# Secrets


def test_what_is_set_is_told_without_secrets():
    given = settings(
        model_url="https://me:s3cret@host:8001/v1?key=s3cret",
        api_keys=(SecretStr("s3cret-a"), SecretStr("s3cret-b")),
        brave_api_key=SecretStr("s3cret-c"),
        cache=SecretStr("redis://:s3cret@[::1]:6379/0"),
        otlp_url="http://[broken",
    )
    text = "\n".join(shown(given))
    assert "s3cret" not in text
    assert "WELLREAD_MODEL_URL=https://host:8001/v1" in text
    assert f"WELLREAD_API_KEYS={HIDDEN},{HIDDEN}" in text
    assert "WELLREAD_CACHE=redis://[::1]:6379/0" in text
    assert "WELLREAD_SEARCH=sample" in text
    assert "WELLREAD_PAGES" not in text


SECRET = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=4, max_size=20)


@given(SECRET, SECRET, SECRET, st.text(max_size=20), st.text(max_size=20))
def test_no_secret_is_left_in_a_text(key, password, other, before, after):
    given = Settings(
        tavily_api_key=SecretStr(key),
        api_keys=(SecretStr(other),),
        cache=SecretStr(f"redis://me:{password}@host/0"),
    )
    hidden = secrets(given)
    text = masked(f"{before} {key} {other} {password} {after}", hidden)
    assert text.split() == [*before.split(), HIDDEN, HIDDEN, HIDDEN, *after.split()] or not any(
        secret in text.replace(HIDDEN, "") for secret in (key, other, password)
    )


async def test_errors_are_told_without_secrets():
    async def look():
        return failed("a", "the server said: no such key s3cret-key")

    assert await told(Check("a", look), hidden=("s3cret-key",)) == (1, [f"a: the server said: no such key {HIDDEN}"])


def test_every_key_is_taken_for_a_secret():
    names = [name.removeprefix("WELLREAD_").lower() for name in variables() if name.endswith("_KEY")]
    assert names
    for name in names:
        assert secrets(Settings(**{name: SecretStr("s3cret")})) == ("s3cret",)


# The machine


def test_this_machine_is_described():
    for look in (machine.python, machine.packages, machine.processor, machine.gpu, machine.clock):
        found = look()
        assert found.state in {"ok", "warning"}, found
        assert found.text


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=4), st.integers(0, 3))
def test_releases_are_compared_by_number(numbers, zeros):
    text = ".".join(map(str, numbers))
    assert machine.release(text) == machine.release(text + ".0" * zeros)
    assert machine.release(text) == machine.release(f"{text}rc1")
    assert machine.release(text) < machine.release(f"{text}.1" if numbers[-1] else f"{numbers[0]}.10000")


def test_what_a_release_needs_and_is_not_there_is_named():
    assert machine.unmet(["anyio>=4.11", "pytest"]) == []
    (old,) = machine.unmet(["anyio>=4000"])
    assert old.startswith("anyio is ")
    assert machine.unmet(["no-such-package-here>=1"]) == ["no-such-package-here is missing"]


def test_a_clock_before_the_program_itself_is_wrong():
    day = 86_400.0
    assert machine.judged_clock(1e9 + 3 * day, 1e9).state == "ok"
    assert machine.judged_clock(1e9, 1e9 + day / 2).state == "ok"
    found = machine.judged_clock(1e9, 1e9 + 3 * day)
    assert (found.state, "2001-09-12" in found.text) == ("failed", True)


@pytest.mark.parametrize(
    ("line", "cores"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("", None), ("max", None)]
)
def test_the_share_of_a_container_is_read(line, cores):
    assert machine._cgroup_cores(line) == cores


# Its surroundings


def test_room_is_told(tmp_path):
    assert surroundings.disk(settings(models_dir=tmp_path / "not" / "yet")).state in {"ok", "warning"}
    assert surroundings.memory(settings()).state in {"ok", "warning"}


@given(st.integers(1, 500), st.integers(0, 1000))
def test_more_questions_need_more_descriptors(concurrent, queued):
    needed = surroundings.files_needed(concurrent, queued)
    assert needed > 100
    assert surroundings.files_needed(concurrent + 1, queued) > needed
    assert surroundings.files_needed(concurrent, queued + 1) > needed


def test_too_few_descriptors_are_told():
    found = surroundings.open_files(settings(max_concurrent=10**9))
    assert found.state == "warning"
    assert "raise it" in found.text


def test_a_port_is_free_or_taken_by_another():
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        taken.listen()
        taken.settimeout(20)

        def hang_up():
            taken.accept()[0].close()

        closer = threading.Thread(target=hang_up)
        closer.start()
        found = surroundings.port(settings(port=number))
        closer.join()
    assert (found.state, "another program listens" in found.text) == ("failed", True)
    assert surroundings.port(settings(port=number)).state == "ok"


def test_an_address_of_another_machine_cannot_be_listened_on():
    found = surroundings.port(settings(host="192.0.2.1", api_keys=(SecretStr("k3y-"),)))
    assert (found.state, "WELLREAD_HOST" in found.text) == ("failed", True)


async def test_a_server_of_ours_on_the_port_is_well():
    async with running(tools=FakeTools()) as client:
        found = await anyio.to_thread.run_sync(surroundings.port, settings(port=client.base_url.port))
    assert (found.state, "listens on" in found.text) == ("ok", True)


def test_servers_that_are_set_must_be_reached():
    given = settings(
        search=("searxng", "ddgs"), searxng_url="http://search:8080", model_url="https://model/v1", otlp_url="http://o"
    )
    assert dict(surroundings.needed_servers(given)) == {
        "the web": ("example.com", 443),
        "WELLREAD_MODEL_URL": ("model", 443),
        "WELLREAD_SEARXNG_URL": ("search", 8080),
        "WELLREAD_OTLP_URL": ("o", 80),
    }
    assert [found.state for found in surroundings.network(settings())] == ["ok"]


def test_a_server_is_reached_or_not():
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        number = listening.getsockname()[1]
        refused = surroundings.reached("it", "127.0.0.1", number)
        listening.listen()
        assert surroundings.reached("it", "127.0.0.1", number) == ok("network it", f"127.0.0.1:{number}")
    assert (refused.state, "not reached" in refused.text) == ("failed", True)


def test_a_name_that_nobody_knows_is_told(monkeypatch):
    def unknown(*asked, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = surroundings.reached("it", "nowhere.invalid", 443)
    assert (found.state, "cannot be resolved" in found.text) == ("failed", True)


# What the settings name


async def test_weights_that_are_not_here_are_not_fetched(tmp_path):
    opened = Parts(settings(models_dir=tmp_path, embedder="embedded", embedded_model="0.5b"))
    assert [found.state for found in await parts.weights(opened)] == ["warning", "warning"]
    for look in (parts.embedder, parts.model):
        (found,) = await look(opened)
        assert (found.state, "not tried" in found.text) == ("warning", True)
    assert list(tmp_path.iterdir()) == []


async def test_weights_that_are_here_are_told(tmp_path):
    opened = Parts(settings(models_dir=tmp_path, embedded_model="0.5b"))
    (tmp_path / "qwen2.5-coder-0.5b-instruct").write_text("")
    (found,) = await parts.weights(opened)
    assert found.state == "ok"


async def test_the_cache_is_opened_and_measured(tmp_path):
    (found,) = await parts.cache(Parts(settings(cache=SecretStr(f"{tmp_path}/c.sqlite"))))
    assert found.state == "ok"
    assert "0 entries" in found.text
    with pytest.raises(BadSettings):
        await parts.cache(Parts(settings(cache=SecretStr("redis://:s3cret@127.0.0.1:1/0"))))


@pytest.mark.parametrize(("speed", "state"), [(1000.0, "ok"), (20.0, "ok"), (2.0, "warning"), (0.0, "warning")])
def test_an_embedder_that_nobody_waits_for_is_told(speed, state):
    found = parts.judged_speed("e5", speed)
    assert found.state == state
    assert found.text.startswith("e5")


def test_engines_that_fail_are_missed_where_one_answers():
    well, away, bad = ok("a", "3 results"), warning("b", "refuses"), failed("c", "no key")
    assert parts.judged([well, away, bad]) == [well, away, bad]
    assert parts.judged([away, bad]) == [failed("b", "refuses"), bad]
    assert parts.judged([]) == []


async def test_each_engine_is_asked(web):
    given = settings(search=("searxng", "sample", "brave"), searxng_url=web.base)
    web.page("/search", b"no JSON")
    found = {each.name: each for each in await parts.search(Parts(given))}
    assert found["search sample"].state == "ok"
    assert found["search searxng"].state == "warning"
    assert found["search brave"] == failed(
        "search brave", "WELLREAD_SEARCH names brave: set WELLREAD_BRAVE_API_KEY to your key for it."
    )


MODELS = b'{"data": [{"id": "r1-small", "max_model_len": 8192}]}'
STREAM = b'data: {"choices": [{"delta": {"content": "ready"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
EMPTY = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
JSON = (("Content-Type", "application/json"),)


@pytest.mark.parametrize(("stream", "state"), [(STREAM, "ok"), (EMPTY, "failed")])
async def test_a_model_is_asked_for_a_word(web, stream, state):
    web.replies["/v1/models"] = Reply(MODELS, headers=JSON)
    web.replies["/v1/chat/completions"] = Reply(stream, headers=(("Content-Type", "text/event-stream"),))
    (found,) = await parts.model(Parts(settings(model_url=f"{web.base}/v1", model_profile="plain")))
    assert found.state == state
    assert "r1-small, 8192 tokens, talked to as plain" in found.text


async def test_a_model_that_is_down_is_told():
    check = next(check for check in checks(settings(model_url="http://127.0.0.1:1/v1")) if check.name == "model")
    code, (line,) = await told(check)
    assert (code, line) == (1, "model: The model cannot be reached (ConnectError).")
