"""The memory of what was read, on disk: kept, found, forgotten, and whole after anything that happens to it."""

import sqlite3

import numpy as np
import pytest

from retrieval.chunk import chunk
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.errors import MemoryUnavailable
from retrieval.limits import ChunkLimits, MemoryLimits
from retrieval.memories.disk import DiskMemory
from retrieval.memory import ReadPage
from retrieval.rank import headed
from retrieval.types import Document
from retrieval.words import stems

EMBEDDER = HashingEmbedder()
DAY = 86_400.0


def document(name: str, text: str = "", **fields) -> Document:
    text = text or f"The bridge called {name} was built of stone by its town and stands there to this day."
    return Document(f"https://{name}.example/page", f"On {name}", text, f"{name}.example", fresh_seconds=600.0, **fields)


def read_page(page: Document, at: float = 1_000.0, *, whole: bool = True) -> ReadPage:
    passages = chunk(page, ChunkLimits())
    vectors = EMBEDDER.embed(tuple(map(headed, passages)), "passage")
    return ReadPage(page, at, tuple(zip(passages, vectors, strict=True)), whole)


def asked(text: str):
    return EMBEDDER.embed((text,), "query")[0]


class Clock:
    now = 2_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory(tmp_path, clock):
    memory = DiskMemory(tmp_path / "memory", "space", MemoryLimits(), clock)
    yield memory
    memory.close()


def test_what_was_kept_is_found_by_vector_and_by_words_and_comes_back_as_it_was(memory):
    pages = [document("Zazil", date="2024-05-01", language="en"), document("Morwen")]
    memory.keep([read_page(page) for page in pages])
    near = memory.near(asked("the bridge called Zazil"), 5)
    assert [each.hit.url for each in near] == [page.url for page in pages]
    assert near[0].hit.date == "2024-05-01"
    assert near[0].hit.snippet == pages[0].text
    assert near[0].cosine > near[1].cosine
    (shared,) = memory.sharing(stems("Morwen", "en"), 5)
    assert (shared.hit.url, shared.stems) == (pages[1].url, frozenset({"morwen"}))
    kept = memory.page(pages[0].url)
    assert (kept.document, kept.read_at, kept.whole) == (pages[0], 1_000.0, True)
    assert memory.page("https://other.example/") is None
    text = headed(chunk(pages[0], ChunkLimits())[0])
    np.testing.assert_array_equal(memory.vectors([text, "new"])[text], EMBEDDER.embed((text,), "passage")[0])
