"""Writes what a benchmark measured into docs/benchmarks.md, between its own two marks."""

import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from os import sched_getaffinity
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
CPU_NAME = re.compile(r"model name\s*:\s*(.+)")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; floats have three figures behind the point at most."""
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(name: str, text: str) -> None:
    """Print the text, and put it under today's date and commit between the marks of `name`."""
    dated = f"{_when()}\n\n{text.strip()}\n"
    print(dated)
    DOCUMENT.write_text(placed(DOCUMENT.read_text(encoding="utf-8"), name, dated), encoding="utf-8")


def placed(document: str, name: str, text: str) -> str:
    """Return the document with the text between the marks of `name`. Raises ValueError where it has no such marks."""
    start, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
    before, found, rest = document.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"docs/benchmarks.md has no marks {start.strip()} and {end}")
    return f"{before}{start}{text}{end}{after}"


def _cell(value: object) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _when() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    # The document itself changes with each benchmark.
    changed = "-dirty" if _git("status", "--porcelain", "--", ".", f":!{DOCUMENT.relative_to(ROOT)}") else ""
    cpu = CPU_NAME.search(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    machine = f"{len(sched_getaffinity(0))} cores of {cpu[1] if cpu else 'an unknown processor'}"
    return f"{datetime.now(UTC).date()}, commit {commit}{changed}, {machine}:"


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
