"""Measures what a reading costs against its pages: seconds, CPU and memory of all processes, the embedder included.

    python -m tests.benchmarks.cost [--repeat 3]

Each number of pages runs in a process of its own, which holds the server's code but calls the reading past HTTP: over
HTTP at most 100 pages are read.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from statistics import median

import anyio

import server  # noqa: F401  (its memory counts)
from agent.build import open_tools
from tests.benchmarks import direct, servers
from tests.benchmarks.tables import table, write
from tests.processes import Memory, cpu_seconds, family

PAGES = (10, 25, 50, 100, 200)
READ_SECONDS = 60.0
# A question of the product reads a hundred pages at most: two hundred take more result pages.
RESULT_PAGES = 40


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--repeat", type=int, default=3, help="questions")
    cli.add_argument("--pages", type=int, nargs="+", default=PAGES)
    cli.add_argument("--child", nargs=2, metavar=("URL", "COUNT"), help=argparse.SUPPRESS)
    args = cli.parse_args()
    servers.require_data()
    if args.child:
        print(json.dumps(anyio.run(measured, args.child[0], int(args.child[1]), args.repeat)))
        return
    with servers.web() as url:
        rows = [_in_child(url, pages, args.repeat) for pages in args.pages]
    head = ["pages wanted", "read", "seconds", "CPU seconds", "MB at most"]
    write("cost", f"Medians of {args.repeat} questions, nothing cached.\n\n{table(head, rows)}")


def _in_child(url: str, pages: int, repeat: int) -> list[object]:
    command = [sys.executable, "-m", "tests.benchmarks.cost", "--repeat", str(repeat), "--child", url, str(pages)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=servers.end_with_parent)
    row: list[object] = json.loads(done.stdout.splitlines()[-1])
    return row


async def measured(url: str, pages: int, repeat: int) -> list[object]:
    """Read for some questions; gives pages wanted and read, seconds and CPU seconds, and the peak of memory in MB."""
    asked = [row["question"] for row in servers.questions("qa", ("rurag", "clapnq"))][::11][:repeat]
    read, seconds, cpu = [], [], []
    with Memory() as memory:
        async with open_tools(servers.settings(url, WELLREAD_READ_SECONDS=str(READ_SECONDS))) as tools:
            tools.search_limits = replace(tools.search_limits, result_pages=RESULT_PAGES)
            await direct.read("warm up the embedder", tools, pages=1)
            for text in asked:
                start, spent = time.perf_counter(), cpu_seconds(family(os.getpid()))
                reading = await direct.read(text, tools, pages)
                seconds.append(time.perf_counter() - start)
                cpu.append(cpu_seconds(family(os.getpid())) - spent)
                read.append(reading.coverage.read)
    return [pages, median(read), median(seconds), median(cpu), round(memory.peak_bytes / 1e6)]


if __name__ == "__main__":
    main()
