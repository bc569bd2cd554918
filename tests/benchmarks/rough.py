"""Measures the reading on a web as it is: slow pages, hanging ones, forbidden ones and broken ones.

    python -m tests.benchmarks.rough [--repeat 20]

A page takes .4 s in the median; 4 % never come, 6 % are forbidden, 3 % broken.
"""

import argparse
from statistics import median
from typing import Any

from agent.settings import Settings
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

WEATHER = ("--median-s", "0.4", "--hang", "0.04", "--forbidden", "0.06", "--broken", "0.03")
WEBS: dict[str, tuple[str, ...]] = {"calm": (), "rough": WEATHER}


def main() -> None:
    """Measure and write."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--repeat", type=int, default=20, help="questions")
    repeat = cli.parse_args().repeat
    servers.require_data()
    asked = [row["question"] for row in servers.questions("qa", ("rurag", "clapnq"))][::7][:repeat]
    rows = []
    for name, options in WEBS.items():
        with servers.web(*options) as url, servers.wellread(url) as server:
            servers.read(server, "warm up the embedder", pages=1)
            rows.append(row(name, [servers.read(server, question) for question in asked]))
    head = [
        "web",
        "pages read, median",
        "lowest",
        "seconds, median",
        "highest",
        "after the last page, median",
        "highest",
    ]
    seconds = Settings().read_seconds
    write("rough", f"{repeat} questions; {seconds:g} s to read, 50 pages wanted.\n\n{table(head, rows)}")


def row(name: str, answers: list[tuple[dict[str, Any], float]]) -> list[object]:
    """Sum up the answers over one web. After the last page: from its cleaning to the context."""
    read = [answer["coverage"]["read"] for answer, _ in answers]
    took = [seconds for _, seconds in answers]
    timings = [answer["timings_ms"] for answer, _ in answers]
    after = [(each["total"] - each["search"] - each["extract"]) / 1000 for each in timings]
    return [name, median(read), min(read), median(took), max(took), median(after), max(after)]


if __name__ == "__main__":
    main()
