"""Fits the model that tells main text from the rest, and writes its weights to `retrieval/block_weights.py`.

    python -m tests.benchmarks.fit_main_text [--write]

Needs scikit-learn, which nothing else here does, and a folder of test data that is not part of this repository
(BENCH_DATA): pages with hand-made main text, or with strings that must and must not be kept. Without --write
it only says how good a model is on sites that it has not seen: five folds, no site in two of them.
"""

import argparse
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import trafilatura
from numpy.typing import NDArray

from retrieval.block_features import NAMES, features
from retrieval.blocks import Block, blocks
from retrieval.decode import decode
from tests.benchmarks import servers
from tests.benchmarks.regression import Fitted, fit

DATA = servers.DATA / "data" / "pages"
TARGET = Path("retrieval/block_weights.py")
# How much a page of each source says, and which of them have the whole text, made by hand.
WEIGHTS = {"daniel": 1.0, "aeb": 1.0, "np4k": 1.0, "rdb": 2.0, "traf": 10.0, "deb": 1.0}
MEASURED = ("daniel", "aeb", "np4k")
FOLDS = 5
REGULARIZATION = 0.1
UNLABELED = -1.0
DOCSTRING = "The weights of `retrieval.main_text`, by feature. Written by tests/benchmarks/fit_main_text.py."


@dataclass(frozen=True, slots=True)
class Labeled:
    """A page with a label for each block: the share of it that is main text, or UNLABELED."""

    row: dict[str, Any]
    page: list[Block]
    features: NDArray[np.float64]
    labels: NDArray[np.float64]

    @property
    def site(self) -> str:
        """Pages of one site stay together."""
        return str(self.row.get("host") or self.row["url"] or self.row["id"])

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each block counts: long ones more, and all blocks of a page together as much as its source says."""
        chars = np.sqrt([len(block.text) for block in self.page])
        weights: NDArray[np.float64] = WEIGHTS[self.row["source"]] * chars / chars.sum()
        return weights


def main() -> None:
    """Fit, report, and write when asked to."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--write", action="store_true")
    write = cli.parse_args().write
    servers.require_data()
    pages = list(labeled())
    report(pages)
    if write:
        TARGET.write_text(fitted(pages).module(DOCSTRING, NAMES), encoding="utf-8")


def labeled() -> Iterator[Labeled]:
    """Read the pages that have labels."""
    with gzip.open(DATA / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["source"] in WEIGHTS]
    for row in rows:
        html = decode(gzip.decompress((DATA / row["file"]).read_bytes()), row.get("http_charset"))
        tree = trafilatura.load_html(html) if html else None
        page = [] if tree is None else blocks(tree)
        if page and (labels := _labels(row, page, html or "")) is not None:
            yield Labeled(row, page, features(page), labels)


def _labels(row: dict[str, Any], page: list[Block], html: str) -> NDArray[np.float64] | None:
    gold = row.get("gold") or {}
    if text := gold.get("text"):
        wanted = _grams(text, row["lang"])
        return np.array([_covered(_grams(block.text, row["lang"]), wanted) for block in page])
    if "with" in gold:
        return np.array([_by_strings(_squeezed(block.text), gold["with"], gold["without"] or []) for block in page])
    # Manuals have no hand-made text. There trafilatura is right nearly always, and without them lists would be lost.
    found = _squeezed(trafilatura.extract(html, include_comments=False) or "") if row["source"] == "deb" else ""
    return np.array([float(_squeezed(block.text) in found) for block in page]) if len(found) > 200 else None


def _by_strings(text: str, wanted: list[str], unwanted: list[str]) -> float:
    if any(_squeezed(string) in text for string in wanted):
        return 1.0
    if any(_squeezed(string) in text or (len(text) > 20 and text in _squeezed(string)) for string in unwanted):
        return 0.0
    return 1.0 if any(len(text) > 20 and text in _squeezed(string) for string in wanted) else UNLABELED


def fitted(pages: list[Labeled]) -> Fitted:
    """Fit the blocks that have a label."""
    known = [page.labels != UNLABELED for page in pages]
    table = np.vstack([page.features[rows] for page, rows in zip(pages, known, strict=True)])
    labels = np.concatenate([page.labels[rows] > 0.5 for page, rows in zip(pages, known, strict=True)])
    weights = np.concatenate([page.weights[rows] for page, rows in zip(pages, known, strict=True)])
    return fit(table, labels, REGULARIZATION, weights)


def report(pages: list[Labeled]) -> None:
    """Print the mean F1 on sites that the model has not seen, by language."""
    from sklearn.model_selection import GroupKFold

    scores: dict[str, list[float]] = defaultdict(list)
    for seen, unseen in GroupKFold(FOLDS).split(pages, groups=[page.site for page in pages]):
        model = fitted([pages[i] for i in seen])
        for page in (pages[i] for i in unseen if pages[i].row["source"] in MEASURED):
            kept = model.scores(page.features) > 0.5
            text = "\n".join(block.text for block, keep in zip(page.page, kept, strict=True) if keep)
            score = f1(page.row["gold"]["text"], text, page.row["lang"])
            scores["all"].append(score)
            scores[page.row["lang"]].append(score)
    for name, values in sorted(scores.items(), key=lambda item: -len(item[1])):
        print(f"{name:4} n={len(values):4} F1={fmean(values):.3f}")


def f1(gold: str, text: str, language: str) -> float:
    """Return the F1 of two texts, by word 4-grams; by 4 characters in languages without spaces."""
    wanted, found = _grams(gold, language), _grams(text, language)
    common = sum((wanted & found).values())
    return 2 * common / (sum(wanted.values()) + sum(found.values())) if common else 0.0


def _covered(grams: Counter[tuple[str, ...]], wanted: Counter[tuple[str, ...]]) -> float:
    return sum((grams & wanted).values()) / grams.total()


def _grams(text: str, language: str) -> Counter[tuple[str, ...]]:
    words = list(_squeezed(text)) if language in ("zh", "ja") else re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)))


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


if __name__ == "__main__":
    main()
