"""Requests that wait for the embedder at the same time share its batches."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from retrieval.embedders.hashing import HashingEmbedder
from retrieval.embedders.joined import JoinedEmbedder
from retrieval.errors import EmbedderUnavailable


@dataclass
class Slow(HashingEmbedder):
    """Works on the first batch until it is let go; fails on a text that says so."""

    batches: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        super().__init__()

    def embed(self, texts, kind):
        self.batches.append((texts, kind))
        self.started.set()
        assert self.go.wait(5)
        if any("fail" in text for text in texts):
            raise EmbedderUnavailable("the model failed")
        return super().embed(texts, kind)


def together(joined, slow, first, *others):
    """Embed `first`, and meanwhile let the others wait; gives the futures in that order."""
    with ThreadPoolExecutor(len(others) + 1) as pool:
        futures = [pool.submit(joined.embed, *first)]
        assert slow.started.wait(5)
        for number, other in enumerate(others, 1):
            futures.append(pool.submit(joined.embed, *other))
            while len(joined._waiting) < number:
                pass
        slow.go.set()
    return futures


def test_those_who_wait_share_a_batch_and_each_gets_its_own():
    slow = Slow()
    asked = [(("one", "two"), "passage"), (("three",), "passage"), (("four", "five"), "passage"), ((), "passage")]
    futures = together(JoinedEmbedder(slow), slow, *asked)
    assert [sorted(texts) for texts, _ in slow.batches] == [["one", "two"], ["five", "four", "three"]]
    for (texts, kind), future in zip(asked, futures, strict=True):
        np.testing.assert_array_equal(future.result(), HashingEmbedder().embed(texts, kind))


def test_queries_and_passages_are_not_mixed():
    slow = Slow()
    together(JoinedEmbedder(slow), slow, (("a",), "query"), (("b",), "query"), (("c",), "passage"), (("d",), "query"))
    assert sorted((sorted(texts), kind) for texts, kind in slow.batches[1:]) == [
        (["b", "d"], "query"),
        (["c"], "passage"),
    ]


def test_a_batch_is_bounded_and_a_long_request_goes_alone():
    slow = Slow()
    long = tuple("abcdef")
    together(
        JoinedEmbedder(slow, 4),
        slow,
        (("x",), "query"),
        (("1", "2", "3"), "query"),
        (long, "query"),
        (("4", "5"), "query"),
    )
    assert sorted(len(texts) for texts, _ in slow.batches) == [1, 2, 3, 6]


def test_a_failure_reaches_all_who_shared_the_batch_and_no_other():
    slow = Slow()
    futures = together(JoinedEmbedder(slow), slow, (("a",), "query"), (("fail",), "query"), (("b",), "query"))
    assert futures[0].result().shape[0] == 1
    for future in futures[1:]:
        with pytest.raises(EmbedderUnavailable):
            future.result()
    assert JoinedEmbedder(slow).embed(("c",), "query").shape[0] == 1
