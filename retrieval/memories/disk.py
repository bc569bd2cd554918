"""A memory in one folder, for one machine: pages and vectors in SQLite, and over them an index of FAISS.

SQLite is the truth: a process that is killed leaves it whole, and the index is made from it. Other processes may share
the folder; each has an index of its own, which learns before a search what others have kept. A file that is damaged is
set aside, and the memory begins anew: what it held can be read again.
"""

import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from retrieval import words
from retrieval.errors import MemoryUnavailable
from retrieval.index import library
from retrieval.lasting_index import LastingIndex, Numbers
from retrieval.limits import MemoryLimits
from retrieval.memory import Near, ReadPage, Sharing, text_key
from retrieval.rank import Vectors, headed
from retrieval.sqlite_file import connection, keep_journal, pragma, transaction, used_bytes
from retrieval.types import Document, Hit

log = logging.getLogger(__name__)

# "WRmm": what PRAGMA application_id says of our files.
APPLICATION_ID = 0x57526D6D
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE pages (id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL UNIQUE, read_at REAL NOT NULL, whole INTEGER NOT NULL, title TEXT NOT NULL, date TEXT, opening TEXT NOT NULL, document BLOB NOT NULL);
CREATE INDEX pages_read_at ON pages (read_at);
CREATE INDEX pages_unfinished ON pages (read_at) WHERE NOT whole;
CREATE TABLE passages (id INTEGER PRIMARY KEY AUTOINCREMENT, page INTEGER NOT NULL, key BLOB NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX passages_page ON passages (page);
CREATE INDEX passages_key ON passages (key);
CREATE VIRTUAL TABLE words USING fts5(stems)
"""  # noqa: E501
COMPRESSION_LEVEL = 1
FLOAT_BYTES = 4
NEAR = """SELECT passages.id, pages.url, pages.title, passages.text, pages.date
FROM passages JOIN pages ON pages.id = passages.page"""
OPENING_CHARS = 200
MANY_PAGES_SHARE = 0.25
AT_ONCE = 500
OLDEST_AT_ONCE = 20
# A graph is written to its file when so much of it is new, and at the end; what the file lacks is learned at the start.
UNSAVED_SHARE = 0.05
# When the memory is full, so much of it is used afterwards: each eviction makes room for many pages.
USED_AFTER_EVICTION = 0.98
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
PRIMARY_CODE = 0xFF
DAMAGED_SUFFIX = ".damaged"
# Of the head of an SQLite file.
HEAD_BYTES, MAGIC, APPLICATION_ID_AT = 100, b"SQLite format 3\0", slice(68, 72)
DOCUMENT = TypeAdapter(Document)


class DiskMemory:
    """Pages and vectors in `folder`, made where missing; `space` names whose vectors, and is the name of its files.

    `clock` is in Unix seconds. Blocks. Raises MemoryUnavailable when the file cannot be opened or is not one of ours,
    and EmbedderUnavailable where faiss is not installed.
    """

    def __init__(self, folder: Path, space: str, limits: MemoryLimits, clock: Callable[[], float] = time.time) -> None:
        self._path, self._graph = folder / f"{space}.sqlite", folder / f"{space}.faiss"
        self._limits, self._clock = limits, clock
        self._reading, self._writing, self._learning = threading.Lock(), threading.Lock(), threading.Lock()
        self._open = True
        self._new_index()
        library()
        with self._translated():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_foreign()
            self._tell_of_others()
            self._connect()

    def keep(self, pages: Sequence[ReadPage]) -> None:
        """Keep pages, in place of what was kept under the same addresses; the oldest make room for them."""
        with self._translated(), self._writing:
            if not self._open:
                return
            self._check_lengths([vector for page in pages for _, vector in page.passages])
            with transaction(self._writer):
                for page in pages:
                    self._put(page)
            # One after the other: what makes room must not be undone with what found none.
            with transaction(self._writer):
                self._make_room()

    def near(self, vector: Vectors, count: int) -> list[Near]:
        """Return the passages nearest to a vector, the nearest first."""
        with self._translated():
            self._check_lengths([vector])
            self._learn()
            return self._nearest(vector, count)

    def sharing(self, stems: Sequence[str], count: int) -> list[Sharing]:
        """Return the pages that share stems with a query, best first (BM25)."""
        asked = list(dict.fromkeys(stems))
        if not asked:
            return []
        best = "SELECT rowid, stems FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        told = "SELECT id, url, title, opening, date FROM pages WHERE id IN"
        with self._translated():
            match = " OR ".join(f'"{stem}"' for stem in self._rare(asked))
            rows = self._read(best, (match, count))
            hits = {number: Hit(*hit) for number, *hit in self._rows(told, [number for number, _ in rows])}
        found = ((number, frozenset(stem for stem in asked if f" {stem} " in f" {text} ")) for number, text in rows)
        return [Sharing(hits[number], shared) for number, shared in found if number in hits]

    def page(self, url: str) -> ReadPage | None:
        """Return what is kept of a page, without its vectors."""
        found = self._read_pages("SELECT document, read_at, whole FROM pages WHERE url = ?", url)
        return found[0] if found else None

    def unfinished(self, count: int) -> list[ReadPage]:
        """Return the newest pages that are not whole, without their vectors."""
        newest = "SELECT document, read_at, whole FROM pages WHERE NOT whole ORDER BY read_at DESC LIMIT ?"
        return self._read_pages(newest, count)

    def vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors that are known, by the passages' texts under their pages' titles."""
        keys = {text_key(text): text for text in texts}
        with self._translated():
            rows = self._rows("SELECT key, vector FROM passages WHERE key IN", list(keys))
        return {keys[key]: np.frombuffer(vector, "<f4").astype(np.float32) for key, vector in rows}

    def tend(self) -> None:
        """Forget what is too old, make the index anew where it has been outgrown, and keep its file."""
        with self._translated():
            with self._writing:
                if not self._open:
                    return
                with transaction(self._writer):
                    self._make_room()
            self._learn()
            if self._index.outgrown(self._count()):
                self._refill()
            if self._index.kind == "hnsw" and self._seen - self._saved > UNSAVED_SHARE * self._index.size:
                self._save()

    def close(self) -> None:
        """Close the file."""
        with self._translated():
            if self._seen != self._saved:
                self._save()
        with self._writing, self._reading:
            if self._open:
                self._open = False
                self._reader.close()
                self._writer.close()

    def all_vectors(self) -> tuple[Numbers, Vectors]:
        """Return the number and the vector of every passage."""
        return self._numbered(self._read("SELECT id, vector FROM passages ORDER BY id"))

    @property
    def index(self) -> LastingIndex:
        """The index over the vectors."""
        return self._index

    def _nearest(self, vector: Vectors, count: int) -> list[Near]:
        """Return so many passages that are still there: the index holds deleted ones too."""
        asked = count
        while True:
            (found,) = self._index.search(vector[np.newaxis], asked)
            rows = self._rows(f"{NEAR} WHERE passages.id IN", [number for number, _ in found])
            hits = {number: Hit(*hit) for number, *hit in rows}
            kept = [Near(hits[number], cosine) for number, cosine in found if number in hits]
            if len(kept) >= count or len(found) < asked:
                return kept[:count]
            asked *= 4

    def _rare(self, stems: Sequence[str]) -> Sequence[str]:
        """Leave out what stands on too many pages to tell them apart: it moves no result and takes most of the time."""
        most = MANY_PAGES_SHARE * self._read("SELECT count(*) FROM pages")[0][0]
        pages = dict(self._rows("SELECT term, doc FROM temp.vocabulary WHERE term IN", stems))
        return [stem for stem in stems if pages.get(stem, 0) <= most] or stems

    def _put(self, page: ReadPage) -> None:
        document = page.document
        self._forget([row[0] for row in self._writer.execute("SELECT id FROM pages WHERE url = ?", (document.url,))])
        packed = zlib.compress(_json(document), COMPRESSION_LEVEL)
        told = (document.url, _sound(document.title), document.date, _excerpt(document.text[:OPENING_CHARS]))
        insert = "INSERT INTO pages (url, title, date, opening, read_at, whole, document) VALUES (?, ?, ?, ?, ?, ?, ?)"
        number = self._writer.execute(insert, (*told, page.read_at, page.whole, packed)).lastrowid
        stems = words.stems(f"{document.title}\n{document.text}", document.language or "en")
        self._writer.execute("INSERT INTO words (rowid, stems) VALUES (?, ?)", (number, _sound(" ".join(stems))))
        self._writer.executemany(
            "INSERT INTO passages (page, key, text, vector) VALUES (?, ?, ?, ?)",
            [
                (number, text_key(headed(passage)), _excerpt(passage.text), vector.astype("<f4").tobytes())
                for passage, vector in page.passages
            ],
        )

    def _make_room(self) -> None:
        """Delete what is too old, and the oldest while there is too much."""
        limits = self._limits
        before = self._clock() - limits.keep_seconds
        self._forget([row[0] for row in self._writer.execute("SELECT id FROM pages WHERE read_at < ?", (before,))])
        full = 1.0
        while (
            self._count(self._writer) > limits.passages * full or used_bytes(self._writer) > limits.total_bytes * full
        ):
            full = USED_AFTER_EVICTION
            oldest = "SELECT id FROM pages ORDER BY read_at LIMIT ?"
            found = [row[0] for row in self._writer.execute(oldest, (OLDEST_AT_ONCE,))]
            if not found:
                return
            self._forget(found)

    def _forget(self, pages: Sequence[int]) -> None:
        for statement in (
            "DELETE FROM passages WHERE page = ?",
            "DELETE FROM words WHERE rowid = ?",
            "DELETE FROM pages WHERE id = ?",
        ):
            self._writer.executemany(statement, [(page,) for page in pages])

    def _count(self, connection: sqlite3.Connection | None = None) -> int:
        query = "SELECT count(*) FROM passages"
        rows = connection.execute(query).fetchall() if connection else self._read(query)
        return int(rows[0][0])

    def _new_index(self) -> None:
        self._index = LastingIndex(self._limits)
        self._seen = self._saved = 0
        self._loaded = False

    def _learn(self) -> None:
        """Add to the index what was kept since it learned last; at first all."""
        with self._learning:
            if not self._loaded:
                self._load()
            query = "SELECT id, vector FROM passages WHERE id > ? ORDER BY id"
            rows = self._read(query, (self._seen,))
            if rows:
                numbers, vectors = self._numbered(rows)
                self._index.add(numbers, vectors)
                self._seen = int(numbers[-1])

    def _load(self) -> None:
        """Read the graph that was saved, if there is one; what it lacks is learned by what calls this."""
        rows = self._read("SELECT vector FROM passages LIMIT 1")
        if rows and self._graph.exists():
            if self._index.load(self._graph, len(rows[0][0]) // FLOAT_BYTES):
                held = set(self._index.numbers.tolist())
                wanted = {row[0] for row in self._read("SELECT id FROM passages")}
                # What was added in order is a prefix; anything else is another file's index.
                self._seen = self._saved = max(held, default=0)
                if {number for number in wanted if number <= self._seen} <= held:
                    self._loaded = True
                    return
            log.warning("%s is damaged or of another memory; the index is made anew", self._graph)
            self._new_index()
        self._loaded = True

    def _refill(self) -> None:
        """Make the index anew beside the old one, in which searches go on; they learn what came meanwhile."""
        numbers, vectors = self.all_vectors()
        made = LastingIndex(self._limits)
        made.fill(numbers, vectors)
        with self._learning:
            self._index, self._saved = made, 0
            self._seen = int(numbers[-1]) if len(numbers) else self._seen

    def _save(self) -> None:
        with self._learning:
            self._index.save(self._graph)
            self._saved = self._seen

    def _check_lengths(self, vectors: Sequence[Vectors]) -> None:
        """Refuse vectors that cannot be compared with those kept: a server's model may change under its name."""
        kept = self._read("SELECT length(vector) FROM passages LIMIT 1")
        held = kept[0][0] // FLOAT_BYTES if kept else len(vectors[0]) if vectors else 0
        for vector in vectors:
            if len(vector) != held:
                raise MemoryUnavailable(f"{self._path} is for vectors of {held} numbers, not of {len(vector)}")

    def _numbered(self, rows: Sequence[tuple[int, bytes]]) -> tuple[Numbers, Vectors]:
        """Return the numbers and the vectors of rows."""
        numbers = np.array([number for number, _ in rows], np.int64)
        vectors = np.frombuffer(b"".join(vector for _, vector in rows), "<f4").astype(np.float32)
        return numbers, vectors.reshape(len(rows), -1)

    def _read_pages(self, query: str, *arguments: object) -> list[ReadPage]:
        with self._translated():
            rows = self._read(query, arguments)
        read = ((_document(packed), read_at, bool(whole)) for packed, read_at, whole in rows)
        return [ReadPage(document, read_at, whole=whole) for document, read_at, whole in read if document]

    def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        """Return the rows of a query that ends in IN, some values at a time."""
        found: list[Any] = []
        for start in range(0, len(values), AT_ONCE):
            some = values[start : start + AT_ONCE]
            found += self._read(f"{query} ({','.join('?' * len(some))})", some)
        return found

    def _read(self, query: str, arguments: Sequence[object] = ()) -> list[Any]:
        with self._reading:
            return self._reader.execute(query, arguments).fetchall() if self._open else []

    def _refuse_foreign(self) -> None:
        """Refuse a file that something else has written."""
        head = b""
        if self._path.exists():
            with self._path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        if head and not (head.startswith(MAGIC) and head[APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4, "big")):
            raise MemoryUnavailable(f"{self._path} is not a file of this program")

    def _tell_of_others(self) -> None:
        others = [path.name for path in self._path.parent.glob("*.sqlite") if path != self._path]
        if others:
            log.warning(
                "the memory was kept for another embedder or under other settings of fetching too, and that is not "
                "searched now; remove %s in %s to be rid of it",
                ", ".join(sorted(others)),
                self._path.parent,
            )

    def _connect(self) -> None:
        """Open the file, and make its tables; older ones are dropped: what they hold can be read again."""
        self._path.touch(mode=0o600)
        self._writer = connection(self._path, self._limits.wait_seconds)
        if not pragma(self._writer, "application_id"):
            # Before the log that is written ahead: the head of the file itself must say whose it is.
            self._writer.execute(f"PRAGMA application_id={APPLICATION_ID}")
        keep_journal(self._writer)
        with transaction(self._writer):
            if pragma(self._writer, "user_version") != SCHEMA_VERSION:
                for table in ("pages", "passages", "words"):
                    self._writer.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in SCHEMA.strip().split(";\n"):
                    self._writer.execute(statement)
                self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._reader = connection(self._path, self._limits.wait_seconds)
        self._reader.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', 'words', 'row')")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, RuntimeError) as error:  # faiss raises RuntimeError
            if getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE in DAMAGED:
                self._begin_anew()
            raise MemoryUnavailable(f"{self._path}: {error}") from error

    def _begin_anew(self) -> None:
        """Set a damaged file aside. Raises OSError or sqlite3.Error when that cannot be done either."""
        with self._learning, self._writing, self._reading:
            if not self._open:
                return
            log.warning("%s is damaged: it is set aside as %s, and the memory begins anew", self._path, DAMAGED_SUFFIX)
            self._writer.close()
            self._reader.close()
            self._path.replace(f"{self._path}{DAMAGED_SUFFIX}")
            for leftover in (f"{self._path}-wal", f"{self._path}-shm", self._graph):
                Path(leftover).unlink(missing_ok=True)
            self._new_index()
            self._connect()


def _excerpt(text: str) -> str:
    return _sound(" ".join(text.split()))


def _sound(text: str) -> str:
    # Half characters, which a page may hold, become question marks.
    return text.encode("utf-8", "replace").decode()


def _document(packed: bytes) -> Document | None:
    """Read a document; None where it is not sound."""
    try:
        return DOCUMENT.validate_json(zlib.decompress(packed))
    except (ValueError, zlib.error):
        return None


def _json(document: Document) -> bytes:
    return _sound(json.dumps(DOCUMENT.dump_python(document, mode="json"), ensure_ascii=False)).encode()
