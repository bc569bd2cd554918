"""Wellread on a Ray cluster of several nodes on this machine: `make test-ray`. The tests stand in order."""

import os
from collections import Counter

import anyio
import httpx2
import pytest

from tests.many_hosts import SENTENCE, many_hosts
from tests.processes import family
from tests.ray_cluster import ANSWER_SECONDS, PYTHON, asked, client, cluster

pytestmark = [pytest.mark.anyio, pytest.mark.ray]
HOSTS = 20
QUESTIONS = 300
CLIENTS = 10


async def until(condition, seconds: float = 20.0) -> None:
    with anyio.fail_after(seconds):
        while not await condition():  # noqa: ASYNC110 - others tell by a figure
            await anyio.sleep(0.2)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def web():
    if not PYTHON.exists():
        pytest.skip("no .venv-ray: run `make test-ray`")
    async with many_hosts(HOSTS, 0.2) as web:
        yield web


@pytest.fixture(scope="module")
async def nodes(web):
    async with cluster(web, nodes=3) as nodes:
        yield nodes


async def test_the_files_for_serve_are_what_ray_takes():
    if not PYTHON.exists():
        pytest.skip("no .venv-ray: run `make test-ray`")
    check = (
        "import sys, yaml; from ray.serve.schema import ServeDeploySchema as Schema\n"
        "alone, service = (yaml.safe_load(open(path)) for path in sys.argv[1:])\n"
        "for config in (alone, yaml.safe_load(service['spec']['serveConfigV2'])):\n"
        "    deployments = Schema.model_validate(config).applications[0].deployments\n"
        "    assert [each.name for each in deployments] == ['Api', 'Reader', 'Embedders']\n"
    )
    files = ["deploy/ray/serve.yaml", "deploy/ray/rayservice.yaml"]
    done = await anyio.run_process([str(PYTHON), "-c", check, *files], check=False)
    assert done.returncode == 0, done.stderr.decode()


async def test_nothing_starts_without_keys_or_a_word_on_who_reaches_it():
    if not PYTHON.exists():
        pytest.skip("no .venv-ray: run `make test-ray`")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WELLREAD_")}
    build = "from deploy.ray.app import built; built()"
    done = await anyio.run_process([str(PYTHON), "-c", build], check=False, env={**kept, "PYTHONPATH": "."})
    assert b"WELLREAD_API_KEYS: the cluster's proxy may be reached by others" in done.stderr


async def test_answers_from_pages_that_other_nodes_read(web, nodes):
    async with client(nodes) as http:
        assert await asked(http, "How long is the old pier?") == "answered"
        found = (await http.post("/v1/search", json={"query": "How long is the pier?", "effort": "low"})).json()
    assert SENTENCE in found["context"]


async def test_a_key_is_needed(nodes):
    async with httpx2.AsyncClient(base_url=nodes.url, trust_env=False) as http:
        assert (await http.get("/v1/models")).status_code == 401
        assert (await http.get("/health")).status_code == 200


async def test_who_leaves_frees_the_place(nodes):
    async with client(nodes) as http:
        body = {"model": "wellread", "stream": True, "messages": [{"role": "user", "content": "Which pier is old?"}]}
        async with http.stream("POST", "/v1/chat/completions", json=body) as reply:
            await anext(reply.aiter_raw())

        async def idle() -> bool:
            return "wellread_runs_in_progress 0.0" in (await http.get("/metrics")).text

        await until(idle)


async def test_no_question_is_lost_while_a_node_dies_and_another_joins(nodes):
    ends, left = Counter(), iter(range(QUESTIONS))

    async def ask(http) -> None:
        for number in left:
            ends[await asked(http, f"How long is pier number {number}?")] += 1

    async with client(nodes) as http, anyio.create_task_group() as group:
        for _ in range(CLIENTS):
            group.start_soon(ask, http)

        async def a_third_is_answered() -> bool:
            return sum(ends.values()) >= QUESTIONS / 3

        await until(a_third_is_answered, ANSWER_SECONDS)
        await nodes.told("kill")
        await anyio.sleep(5)
        await nodes.told("join")
    assert ends == {"answered": QUESTIONS}


async def test_nothing_is_left_behind(web):
    async with cluster(web, nodes=1) as nodes:
        async with client(nodes) as http:
            assert await asked(http, "How long is the old pier?") == "answered"
        running = family(nodes.process.pid)
    assert running

    async def all_have_ended() -> bool:
        return not any(os.path.exists(f"/proc/{pid}") for pid in running)  # noqa: PTH110, ASYNC240  (no file of a disk)

    await until(all_have_ended)
