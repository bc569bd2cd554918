"""Measures the cleaner beside trafilatura's own: mean F1 over pages with hand-made text, and CPU time a page.

    python -m tests.benchmarks.extraction

The model of the cleaner was fitted on these pages; what it does on sites that it has not seen is what fit_main_text.py
prints.
"""

import gzip
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean
from typing import Any

import trafilatura

from retrieval.extract import clean
from retrieval.limits import ExtractLimits
from retrieval.types import Document, Hit, Page
from tests.benchmarks import servers
from tests.benchmarks.tables import table, write

LIMITS = ExtractLimits()
LEAST_PAGES = 10
Cleaner = Callable[[bytes, str | None], str]


def ours(html: bytes, charset: str | None) -> str:
    """Clean a page as the product does, title, date and language included."""
    outcome = clean(
        Page(Hit("https://example.org/", ""), "https://example.org/", "text/html", charset, html, 0), LIMITS
    )
    return outcome.text if isinstance(outcome, Document) else ""


def theirs(html: bytes, charset: str | None) -> str:
    """Clean a page as trafilatura does by itself, which gives the text alone."""
    return trafilatura.extract(html, include_comments=False) or ""


CLEANERS: dict[str, Cleaner] = {"Wellread": ours, "trafilatura": theirs}


def main() -> None:
    """Measure and write."""
    servers.require_data()
    logging.disable(logging.CRITICAL)
    scores: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in CLEANERS}
    seconds = dict.fromkeys(CLEANERS, 0.0)
    rows = _rows()
    for row in rows:
        html = gzip.decompress((servers.DATA / "data" / "pages" / row["file"]).read_bytes())
        for name, cleaner in CLEANERS.items():
            start = time.process_time()
            text = cleaner(html, row.get("http_charset"))
            seconds[name] += time.process_time() - start
            score = servers.data_module("score_extraction").compare(row["gold"]["text"], text, row["lang"])[2]
            for group in ("all", row["lang"]):
                scores[name][group].append(score)
    write("extraction", report(scores, {name: 1000 * spent / len(rows) for name, spent in seconds.items()}))


def _rows() -> list[dict[str, Any]]:
    sources = servers.data_module("score_extraction").FULL_TEXT
    with gzip.open(servers.DATA / "data" / "pages" / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["source"] in sources and (row.get("gold") or {}).get("text")]


def report(scores: dict[str, dict[str, list[float]]], ms: dict[str, float]) -> str:
    """Write mean F1 by language, those with few pages together, and CPU time."""
    counts = {group: len(values) for group, values in next(iter(scores.values())).items()}
    groups = [group for group in sorted(counts, key=lambda group: -counts[group]) if counts[group] >= LEAST_PAGES]
    rows = [[group, counts[group], *(fmean(scores[name][group]) for name in scores)] for group in groups]
    others = [group for group in counts if group not in groups]
    if others:
        values = [[each for group in others for each in scores[name][group]] for name in scores]
        rows.append(["others", len(values[0]), *map(fmean, values)])
    head = ["pages", "n", *(f"F1 of {name}" for name in scores)]
    return (
        table(head, rows) + "\n\nCPU a page: " + ", ".join(f"{name} {each:.1f} ms" for name, each in ms.items()) + "."
    )


if __name__ == "__main__":
    main()
