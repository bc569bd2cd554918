"""Measures how many questions one server reads in a minute, asked so many at a time, and what each costs of a core.

    python -m tests.benchmarks.throughput [--questions 24] [--profile PY_SPY]

POST /v1/search at medium effort: fifty pages, nothing cached, no model. Seconds depend on what else the machine does
(the web and the clients share its cores); CPU seconds of the server's own processes hardly do. `--profile` names a
py-spy, which samples the server while eight ask at once; a sample counts for the innermost file of this project.
"""

import argparse
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import servers
from tests.benchmarks.tables import table, write
from tests.processes import cpu_seconds, family, memory_bytes, open_files

AT_ONCE = (1, 2, 4, 8)
EMBEDDERS = ("hashing", "embedded")
SETS = ("rurag", "clapnq")
STAGES = ("search", "fetch", "extract", "rank", "pack", "total")
SAMPLES_A_SECOND = 50
WATCH_SECONDS = 0.5
PROFILE_ROWS = 14


@dataclass(frozen=True, slots=True)
class Run:
    """Some questions, `at_once` at a time. CPU seconds are of the server itself, its workers, and the web and clients.

    `stages`: median milliseconds by name. `load` before. `files`: most descriptors that were seen open.
    """

    embedder: str
    at_once: int
    questions: int
    pages: float
    seconds: float
    server_cpu: float
    workers_cpu: float
    others_cpu: float
    memory: float
    files: int
    stages: dict[str, float]
    load: float

    @property
    def a_minute(self) -> float:
        """Questions read in a minute of the clock."""
        return 60 * self.questions / self.seconds

    @property
    def cpu(self) -> float:
        """CPU seconds of a question, the web's and the clients' left out."""
        return (self.server_cpu + self.workers_cpu) / self.questions


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--questions", type=int, default=24, help="for each number at once")
    cli.add_argument("--profile", metavar="PY_SPY", help="also sample with this py-spy")
    args = cli.parse_args()
    servers.require_data()
    asked = [row["question"] for row in servers.questions("qa", SETS)][::5]
    runs, profiles = [], {}
    with servers.web() as web:
        for embedder in EMBEDDERS:
            with serving(web, embedder) as (address, pid):
                servers.read(address, "warm up the embedder", pages=1)
                runs += [measured(address, pid, embedder, at_once, asked[: args.questions]) for at_once in AT_ONCE]
                if args.profile:
                    profiles[embedder] = profiled(args.profile, address, pid, asked[: args.questions])
    write("throughput", report(runs, profiles))


@contextmanager
def serving(web: str, embedder: str) -> Iterator[tuple[str, int]]:
    """Run a server that works on as many questions at once as are asked; gives its address and pid."""
    more = {"WELLREAD_EMBEDDER": embedder, "WELLREAD_MAX_CONCURRENT": str(max(AT_ONCE))}
    with servers.wellread(web, **more) as address:
        yield address, next(pid for pid in family(os.getpid()) if "server.py" in _command(pid))


def measured(address: str, pid: int, embedder: str, at_once: int, asked: Sequence[str]) -> Run:
    """Ask all questions, so many at once."""
    load, before, others = os.getloadavg()[0], _cpu(pid), _others_cpu(pid)
    start = time.perf_counter()
    with watched(pid) as most:
        replies = ask(address, at_once, asked)
    seconds = time.perf_counter() - start
    after = _cpu(pid)
    return Run(
        embedder,
        at_once,
        len(asked),
        median(reply["coverage"]["read"] for reply in replies),
        seconds,
        after[0] - before[0],
        after[1] - before[1],
        _others_cpu(pid) - others,
        most["bytes"] / 1e6,
        most["files"],
        {stage: median(reply["timings_ms"][stage] for reply in replies) for stage in STAGES},
        load,
    )


def ask(address: str, at_once: int, asked: Sequence[str]) -> list[dict[str, Any]]:
    """Ask, so many at once; gives the replies."""
    with ThreadPoolExecutor(at_once) as clients:
        return list(clients.map(lambda text: servers.read(address, text)[0], asked))


def _cpu(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of the server itself and of all below it."""
    own = cpu_seconds([pid])
    return own, cpu_seconds(family(pid)) - own


def _others_cpu(pid: int) -> float:
    return cpu_seconds(family(os.getpid(), pid))


@contextmanager
def watched(pid: int) -> Iterator[dict[str, int]]:
    """Watch a server's processes: most bytes and descriptors at a time."""
    most = Counter[str]()

    def look() -> None:
        pids = family(pid)
        most["bytes"] = max(most["bytes"], memory_bytes(pids))
        most["files"] = max(most["files"], open_files([pid]))

    with _repeated(look, WATCH_SECONDS):
        yield most


@contextmanager
def _repeated(work: Callable[[], None], seconds: float) -> Iterator[None]:
    done = threading.Event()

    def run() -> None:
        while not done.wait(seconds):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def profiled(py_spy: str, address: str, pid: int, asked: Sequence[str]) -> Counter[str]:
    """Sample the server and its workers while the most ask at once; gives samples by file of this project."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stacks"
        command = [py_spy, "record", "--pid", str(pid), "--subprocesses", "--full-filenames", "--nonblocking"]
        command += ["--format", "raw", "--output", str(out), "--rate", str(SAMPLES_A_SECOND), "--duration", "3600"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
            ask(address, max(AT_ONCE), asked)
            spy.send_signal(signal.SIGINT)
            spy.wait(60)
        return attributed(out.read_text(encoding="utf-8"), servers.ROOT)


def attributed(stacks: str, root: Path) -> Counter[str]:
    """Count samples by the innermost file of a project, with its function; `stacks` are py-spy's, one a line."""
    counts = Counter[str]()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        ours = [frame for frame in frames.split(";") if f"({root}/" in frame and "/.venv/" not in frame]
        counts[_place(ours[-1], root) if ours else "elsewhere"] += int(count)
    return counts


def _place(frame: str, root: Path) -> str:
    """Return file and function of a frame such as `rank (/root/retrieval/rank.py:88)`."""
    function, _, where = frame.partition(f" ({root}/")
    return f"{where.rpartition(':')[0]} {function}"


def report(runs: list[Run], profiles: dict[str, Counter[str]]) -> str:
    """Write the tables."""
    rows = [
        [
            run.embedder,
            run.at_once,
            run.pages,
            round(run.a_minute, 1),
            round(run.cpu, 2),
            round(60 / run.cpu, 1),
            round(run.server_cpu / run.questions, 2),
            round(run.workers_cpu / run.questions, 2),
            round(run.others_cpu / run.questions, 2),
            round(run.memory),
            run.files,
            f"{run.load:.1f}",
        ]
        for run in runs
    ]
    head = [
        "embedder",
        "at once",
        "pages read",
        "questions a minute",
        "CPU seconds a question",
        "a minute of one core reads",
    ]
    head += [
        "of the CPU: server",
        "workers",
        "beside: web and clients",
        "MB at most",
        "descriptors at most",
        "load before",
    ]
    stages = [[run.embedder, run.at_once, *(run.stages[stage] / 1000 for stage in STAGES)] for run in runs]
    parts = [
        f"{runs[0].questions} questions each, all the same for each number at once; pages read are medians.",
        table(head, rows),
        "Seconds in each stage, medians; fetch and extract overlap:",
        table(["embedder", "at once", *STAGES], stages),
        *(f"Samples while eight ask at once, {name} embedder:\n\n{shares(found)}" for name, found in profiles.items()),
    ]
    return "\n\n".join(parts)


def shares(counts: Counter[str]) -> str:
    """Write the places with most samples."""
    whole = sum(counts.values())
    rows = [[place, f"{count / whole:.1%}"] for place, count in counts.most_common(PROFILE_ROWS)]
    return table(["file and function", "share of the samples"], rows)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
