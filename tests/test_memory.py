"""The memory of what was read, on disk: kept, found, forgotten, and whole after anything that happens to it."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from retrieval.chunk import chunk
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.errors import MemoryUnavailable
from retrieval.index import on_gpu
from retrieval.limits import ChunkLimits, MemoryLimits
from retrieval.memories.disk import DiskMemory
from retrieval.memories.qdrant import QdrantMemory
from retrieval.memory import ReadPage
from retrieval.rank import headed
from retrieval.types import Document
from retrieval.words import stems

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
EMBEDDER = HashingEmbedder()
DAY = 86_400.0


def document(name: str, text: str = "", **fields) -> Document:
    text = text or f"The bridge called {name} was built of stone by its town and stands there to this day."
    site = f"{name.lower()}.example"
    return Document(f"https://{site}/page", f"On {name}", text, site, fresh_seconds=600.0, **fields)


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
def disk(tmp_path, clock):
    memory = DiskMemory(tmp_path / "memory", "space", MemoryLimits(), clock)
    yield memory
    memory.close()


@pytest.fixture(params=["disk", "qdrant"])
def opened(request, tmp_path, clock):
    """Give what opens a memory of some limits, of each kind."""
    memories = []

    def opening(limits=None):
        limits = limits or MemoryLimits()
        if request.param == "disk":
            memories.append(DiskMemory(tmp_path / "memory", "space", limits, clock))
        else:
            # The client's own embedded mode; it tells that it makes no indexes of payloads.
            memories.append(QdrantMemory(QdrantClient(":memory:"), "in this process", "space", limits, clock))
        return memories[-1]

    yield opening
    for memory in memories:
        memory.close()


@pytest.fixture
def memory(opened):
    return opened()


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


def test_a_page_that_is_read_again_replaces_what_was_kept(memory):
    memory.keep([read_page(document("Zazil"))])
    memory.keep(
        [read_page(document("Zazil", "The bridge called Zazil fell down in a flood and was not built again."), 5.0)]
    )
    (near,) = memory.near(asked("Zazil"), 5)
    assert "flood" in near.hit.snippet
    assert memory.page(document("Zazil").url).read_at == 5.0
    assert memory.sharing(["stone"], 5) == []


def test_the_newest_page_that_lacks_vectors_is_told(memory):
    assert memory.unfinished(2) == []
    memory.keep([read_page(document("old"), 1.0, whole=False), read_page(document("new"), 2.0, whole=False)])
    memory.keep([read_page(document("newest"), 3.0)])
    assert [page.document for page in memory.unfinished(1)] == [document("new")]
    assert len(memory.unfinished(9)) == 2


def test_what_is_too_old_is_forgotten_in_the_index_too(memory, clock):
    memory.keep([read_page(document("Zazil"), 0.0), read_page(document("Morwen"), 50 * DAY)])
    assert len(memory.near(asked("bridge"), 5)) == 2
    clock.now = 91 * DAY
    memory.tend()
    assert [each.hit.title for each in memory.near(asked("bridge called Zazil"), 5)] == ["On Morwen"]
    assert memory.sharing(["zazil"], 5) == []
    assert memory.page(document("Zazil").url) is None
    assert memory.vectors([headed(chunk(document("Zazil"), ChunkLimits())[0])]) == {}
    if isinstance(memory, DiskMemory):
        assert memory.index.size == 1  # of two one was dead: more than the share that an index may carry


def fill(memory) -> list[int]:
    """Keep 150 pages, one newer than the other; gives those that are there in the end."""
    for number in range(150):
        text = f"Bridge number {number} " + "".join(f"has an arch {number * 7 + i} m wide. " for i in range(15))
        memory.keep([read_page(document(f"n{number}", text), 1_000.0 + number)])
    memory.tend()
    return [number for number in range(150) if memory.page(document(f"n{number}").url)]


def test_the_oldest_make_room(opened):
    memory = opened(MemoryLimits(passages=100))
    kept = fill(memory)
    assert 60 < len(kept) <= 100
    assert kept == list(range(150 - len(kept), 150))
    assert len(memory.near(asked("Bridge number 3"), 500)) == len(kept)
    assert len(memory.sharing(["bridg"], 500)) == len(kept)


def test_the_oldest_make_room_in_the_file(tmp_path, clock):
    memory = DiskMemory(tmp_path, "space", MemoryLimits(total_bytes=250_000), clock)
    kept = fill(memory)
    assert 20 < len(kept) < 150
    assert kept == list(range(150 - len(kept), 150))
    numbers, _ = memory.all_vectors()
    assert len(numbers) == len(kept)
    memory.close()


def test_another_process_over_the_same_folder_is_learned_from(disk, tmp_path):
    memory = disk
    other = DiskMemory(tmp_path / "memory", "space", MemoryLimits(), Clock())
    memory.keep([read_page(document("Zazil"))])
    assert len(other.near(asked("Zazil"), 5)) == 1
    other.keep([read_page(document("Morwen"))])
    assert len(memory.near(asked("Zazil"), 5)) == 2
    other.close()


def test_vectors_of_another_embedder_lie_apart(disk, tmp_path, caplog):
    memory = disk
    memory.keep([read_page(document("Zazil"))])
    other = DiskMemory(tmp_path / "memory", "other", MemoryLimits())
    assert other.near(asked("Zazil"), 5) == []
    assert other.page(document("Zazil").url) is None
    assert "kept for another embedder" in caplog.text
    assert "space.sqlite" in caplog.text
    other.close()


@pytest.mark.parametrize("opened", ["disk"], indirect=True)
def test_a_vector_of_another_length_is_not_kept(memory):
    memory.keep([read_page(document("Zazil"))])
    (passage,) = chunk(document("Morwen"), ChunkLimits())
    with pytest.raises(MemoryUnavailable, match="vectors of 256 numbers, not of 3"):
        memory.keep([ReadPage(document("Morwen"), 1_000.0, ((passage, np.ones(3, np.float32)),), whole=True)])
    assert len(memory.near(asked("Zazil"), 5)) == 1


@pytest.mark.parametrize("opened", ["disk"], indirect=True)
def test_a_query_of_another_length_is_refused(memory):
    memory.keep([read_page(document("Zazil"))])
    with pytest.raises(MemoryUnavailable, match="vectors of 256 numbers, not of 3"):
        memory.near(np.ones(3, np.float32), 5)


@pytest.mark.parametrize("name", ["notes.txt", "other.db"])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(tmp_path, name):
    path = tmp_path / "space.sqlite"
    if name == "other.db":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE mine (x)")
        connection.close()
    else:
        path.write_text("my notes " * 100)
    before = path.read_bytes()
    with pytest.raises(MemoryUnavailable, match="not a file of this program"):
        DiskMemory(tmp_path, "space", MemoryLimits())
    assert path.read_bytes() == before


def test_a_damaged_file_is_set_aside_and_the_memory_begins_anew(disk, tmp_path, caplog):
    memory = disk
    memory.keep([read_page(document(f"n{number}")) for number in range(300)])
    memory.close()
    path = tmp_path / "memory" / "space.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\x7f" * (len(data) - 4096))
    again = DiskMemory(tmp_path / "memory", "space", MemoryLimits(), Clock())
    with pytest.raises(MemoryUnavailable):
        again.near(asked("Zazil"), 5)
    assert "set aside" in caplog.text
    assert (tmp_path / "memory" / "space.sqlite.damaged").exists()
    again.keep([read_page(document("Zazil"))])
    assert len(again.near(asked("Zazil"), 5)) == 1
    again.close()


def test_a_row_that_is_not_sound_is_passed_over(disk, tmp_path):
    memory = disk
    memory.keep([read_page(document("Zazil")), read_page(document("Morwen"))])
    with sqlite3.connect(tmp_path / "memory" / "space.sqlite") as connection:
        connection.execute("UPDATE pages SET document = x'00' WHERE url = ?", (document("Zazil").url,))
    connection.close()
    assert memory.page(document("Zazil").url) is None
    assert memory.page(document("Morwen").url) is not None


def test_a_graph_finds_what_all_would_and_comes_back_from_its_file(tmp_path, caplog):
    limits = MemoryLimits(hnsw_from=200)
    memory = DiskMemory(tmp_path, "space", limits, Clock())
    pages = [document(f"n{number}") for number in range(300)]
    memory.keep([read_page(page) for page in pages])
    memory.tend()
    assert memory.index.kind == ("ivf" if on_gpu() else "hnsw")
    found = [memory.near(asked(f"bridge called n{number}"), 1)[0].hit.url for number in range(300)]
    assert sum(url == page.url for url, page in zip(found, pages, strict=True)) >= 0.98 * 300
    memory.close()
    again = DiskMemory(tmp_path, "space", limits, Clock())
    again.keep([read_page(document("Zazil"))])
    assert again.near(asked("Zazil"), 1)[0].hit.title == "On Zazil"
    assert again.index.size == 301
    again.close()
    assert "made anew" not in caplog.text


@pytest.mark.skipif(on_gpu(), reason="a GPU's index has no file")
@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_graph_is_made_anew(tmp_path, caplog, damage):
    limits = MemoryLimits(hnsw_from=100)
    memory = DiskMemory(tmp_path, "space", limits, Clock())
    memory.keep([read_page(document(f"n{number}")) for number in range(150)])
    memory.tend()
    memory.close()
    file = tmp_path / "space.faiss"
    data = file.read_bytes()
    file.write_bytes(data[:-9] + b"\x00" * 9 if damage is None else damage)
    again = DiskMemory(tmp_path, "space", limits, Clock())
    assert again.near(asked("bridge called n7"), 1)[0].hit.title == "On n7"
    assert "made anew" in caplog.text
    again.close()


KILLED = """
import sys, time
from pathlib import Path
from retrieval.limits import MemoryLimits
from retrieval.memories.disk import DiskMemory
from tests.test_memory import Clock, document, read_page

memory = DiskMemory(Path(sys.argv[1]), "space", MemoryLimits(hnsw_from=50), Clock())
for number in range(100_000):
    memory.keep([read_page(document(f"n{number}-{i}")) for i in range(10)])
    memory.tend()
    print(number, flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_readable_memory(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent, text=True) as process:
        assert process.stdout
        last = -1
        while last < 20:
            last = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split()
    last = int(rest[-1]) if rest else last
    memory = DiskMemory(tmp_path, "space", MemoryLimits(hnsw_from=50), Clock())
    for number in range(last + 1):
        assert memory.page(document(f"n{number}-9").url) is not None
    # A page is there whole or not at all.
    numbers, vectors = memory.all_vectors()
    assert len(numbers) == len(vectors) == 10 * (last + 1) or len(numbers) == 10 * (last + 2)
    assert memory.near(asked(f"bridge called n{last}-3"), 1)[0].hit.title == f"On n{last}-3"
    assert memory.sharing([f"n{last}", "3"], 1)[0].hit.title == f"On n{last}-3"
    memory.keep([read_page(document("Zazil"))])
    assert memory.near(asked("Zazil"), 1)[0].hit.title == "On Zazil"
    memory.close()
