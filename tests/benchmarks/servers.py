"""Starts what the benchmarks measure against: a web on loopback, and this project's server or its tools.

The web is part of a folder of test data that is not part of this repository: BENCH_DATA names it.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.settings import Settings

DATA = Path(os.environ.get("BENCH_DATA", "../shared")).resolve()
START_SECONDS = 120.0
ANSWER_SECONDS = 300.0
STOP_SECONDS = 10.0
ROOT = Path(__file__).parent.parent.parent
LIBC = ctypes.CDLL(None)
PARENT_DEATH_SIGNAL = 1


def require_data() -> None:
    """End the program, without an error, where there is no test data."""
    if not (DATA / "tools" / "localweb.py").exists():
        print(f"skipped: no test data in {DATA}; BENCH_DATA names that folder, which is not of this repository")
        sys.exit(0)


def end_with_parent() -> None:
    """Let a new process end when the one that started it does, however that ends. Runs in the new process; Linux."""
    LIBC.prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)


def data_module(name: str) -> Any:
    """Import a script of the test data, so that figures are computed as it computes them."""
    sys.path.insert(0, str(DATA / "tools"))
    return __import__(name)


def questions(name: str, sets: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Read the questions that have evidence; `sets` names some of them."""
    lines = (DATA / "data" / name / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row.get("answerable", True) and row["evidence"] and (not sets or row["set"] in sets)]


@contextmanager
def web(*options: str) -> Iterator[str]:
    """Run the web; gives its address. `options` set its latency and faults."""
    port = free_port()
    command = [sys.executable, str(DATA / "tools" / "localweb.py"), "--port", str(port), *options]
    with running(command, {}, f"http://127.0.0.1:{port}/search?q=x&format=json"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def hostile(*options: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Run the hostile web in a process of its own; gives the index of its cases, and its pid."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.json"
        command = [sys.executable, "-m", "hostile.server", "--port", str(free_pair()), "--index", str(path), *options]
        with subprocess.Popen(command, cwd=DATA, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            try:
                yield json.loads(path.read_text(encoding="utf-8")), process.pid
            finally:
                process.kill()


def variables(web_url: str, **more: str) -> dict[str, str]:
    """Return the environment of a server that searches and reads that web."""
    port = web_url.rsplit(":", 1)[1]
    return {
        "WELLREAD_SEARCH": "searxng",
        "WELLREAD_SEARXNG_URL": web_url,
        "WELLREAD_ALLOW_NETS": f"127.0.0.0/8:{port}",
        "WELLREAD_EMBEDDED_MODEL": "echo",
        "WELLREAD_EMBEDDER": "embedded",
        "WELLREAD_CACHE": "off",
        "WELLREAD_LOG_LEVEL": "warning",
        **more,
    }


def settings(web_url: str, **more: str) -> Settings:
    """Return the same as settings for tools in this process."""
    os.environ.update(variables(web_url, **more))
    return Settings()


@contextmanager
def wellread(web_url: str, **more: str) -> Iterator[str]:
    """Run this project's server over a web; gives its address."""
    port = free_port()
    command = [sys.executable, str(ROOT / "server.py"), "serve", "--port", str(port)]
    with running(command, variables(web_url, **more), f"http://127.0.0.1:{port}/ready"):
        yield f"http://127.0.0.1:{port}"


def read(server: str, query: str, **fields: Any) -> tuple[dict[str, Any], float]:
    """Ask POST /v1/search; gives the reply and the seconds it took."""
    body = json.dumps({"query": query, **fields}).encode()
    request = urllib.request.Request(f"{server}/v1/search", body, {"Content-Type": "application/json"})
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as reply:
        answer = json.load(reply)
    return answer, time.perf_counter() - start


@contextmanager
def running(command: list[str], variables: dict[str, str], ready: str) -> Iterator[None]:
    """Run a process until the end of the block, from when `ready` answers on."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, preexec_fn=end_with_parent)  # noqa: PLW1509  (one thread)
    try:
        _await(process, ready)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{url} did not come up")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def free_pair() -> int:
    """Return a port that nobody listens on, and nobody on the next: the hostile web takes both."""
    while True:
        port = free_port()
        with socket.socket() as sock, suppress(OSError, OverflowError):
            sock.bind(("127.0.0.1", port + 1))
            return port
