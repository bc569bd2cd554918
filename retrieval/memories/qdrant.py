"""A memory in a Qdrant server, shared by the replicas of a cluster.

Two collections a space: pages with their words as sparse vectors, which the server weighs by their rarity (BM25), and
passages with the embedder's vectors, each under the key of its text. How much the server takes is its own setting; the
oldest pages go when there are more passages than the limit.
"""

import json
import math
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from retrieval import words
from retrieval.engines.snippet import snippet
from retrieval.errors import MemoryUnavailable
from retrieval.limits import MemoryLimits
from retrieval.memory import Near, ReadPage, Sharing, text_key
from retrieval.rank import Vectors, headed
from retrieval.types import Document, Hit, Passage

OURS = "wellread"
SCHEME = "qdrant+"
PORT = 6333
WORDS = "words"
OLDEST_AT_ONCE = 20
POINTS_AT_ONCE = 64
USED_AFTER_EVICTION = 0.98
# Of BM25: how soon another occurrence tells nothing more, how much a page's length counts, and how long pages are.
SATURATION, LENGTH_WEIGHT, USUAL_WORDS = 1.2, 0.75, 1_000
DOCUMENT = TypeAdapter(Document)


def opened(address: str, space: str, limits: MemoryLimits) -> "QdrantMemory":
    """Open the memory at qdrant+http(s)://:KEY@host:port. Raises MemoryUnavailable, whose message has no key."""
    try:
        parts = urlsplit(address.removeprefix(SCHEME))
        place = f"{parts.scheme}://{parts.hostname}:{parts.port or PORT}"
    except ValueError:
        raise MemoryUnavailable("no address of a Qdrant server; one is qdrant+http://:KEY@host:6333") from None
    client = QdrantClient(
        url=place,
        api_key=parts.password or None,
        timeout=math.ceil(limits.wait_seconds),
        check_compatibility=False,
        trust_env=False,
    )
    return QdrantMemory(client, place, space, limits)


class QdrantMemory:
    """Pages and passages behind `client`; `place` is its name in errors. `clock` is in Unix seconds. Blocks."""

    def __init__(
        self, client: QdrantClient, place: str, space: str, limits: MemoryLimits, clock: Callable[[], float] = time.time
    ) -> None:
        self._client, self._place, self._limits, self._clock = client, place, limits, clock
        self._pages, self._passages = f"{OURS}-{space}-pages", f"{OURS}-{space}-passages"
        self._has_passages = False
        with self._translated():
            if not client.collection_exists(self._pages):
                self._make_pages()

    def keep(self, pages: Sequence[ReadPage]) -> None:
        """Keep pages, in place of what was kept under the same addresses; the oldest make room for them."""
        with self._translated():
            vectors = [vector for page in pages for _, vector in page.passages]
            if vectors and not self._searchable():
                self._make_passages(len(vectors[0]))
            if self._searchable():
                self._client.delete(self._passages, _one_of("url", [page.document.url for page in pages]))
            points = [_passage(page, passage, vector) for page in pages for passage, vector in page.passages]
            for start in range(0, len(points), POINTS_AT_ONCE):
                self._client.upsert(self._passages, points[start : start + POINTS_AT_ONCE])
            # Last: a page that is there has its passages.
            self._client.upsert(self._pages, [_page(page) for page in pages])

    def near(self, vector: Vectors, count: int) -> list[Near]:
        """Return the passages nearest to a vector, the nearest first."""
        with self._translated():
            if not self._searchable():
                return []
            found = self._client.query_points(self._passages, vector.tolist(), limit=count, with_payload=True).points
        rows = sorted(found, key=lambda point: (-point.score, str(point.id)))
        return [Near(_hit(point.payload or {}, (point.payload or {})["text"]), point.score) for point in rows]

    def sharing(self, stems: Sequence[str], count: int) -> list[Sharing]:
        """Return the pages that share stems with a query, best first (BM25)."""
        numbers = {_number(stem): stem for stem in stems}
        if not numbers:
            return []
        query = models.SparseVector(indices=list(numbers), values=[1.0] * len(numbers))
        with self._translated():
            found = self._client.query_points(
                self._pages, query, using=WORDS, limit=count, with_payload=True, with_vectors=[WORDS]
            ).points
        shared = []
        for point in found:
            document = _document(point.payload)
            sparse = point.vector[WORDS] if isinstance(point.vector, dict) else None
            if document is not None and isinstance(sparse, models.SparseVector):
                of_query = frozenset(numbers[number] for number in sparse.indices if number in numbers)
                excerpt = snippet(document.text, dict.fromkeys(of_query, 1.0))
                shared.append(Sharing(Hit(document.url, document.title, excerpt, document.date), of_query))
        return shared

    def page(self, url: str) -> ReadPage | None:
        """Return what is kept of a page, without its vectors."""
        with self._translated():
            found = self._client.retrieve(self._pages, [_page_id(url)], with_payload=True)
        return _read_page(found[0].payload) if found else None

    def vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors that are known, by the passages' texts under their pages' titles."""
        named = {_passage_id(text): text for text in texts}
        with self._translated():
            if not named or not self._searchable():
                return {}
            found = self._client.retrieve(self._passages, list(named), with_payload=False, with_vectors=True)
        return {named[str(point.id)]: np.array(point.vector, np.float32) for point in found}

    def unfinished(self, count: int) -> list[ReadPage]:
        """Return the newest pages that are not whole, without their vectors."""
        lacking = models.Filter(must=[models.FieldCondition(key="whole", match=models.MatchValue(value=False))])
        with self._translated():
            newest = models.OrderBy(key="read_at", direction=models.Direction.DESC)
            found, _ = self._client.scroll(self._pages, lacking, limit=count, order_by=newest, with_payload=True)
        return [page for point in found if (page := _read_page(point.payload))]

    def tend(self) -> None:
        """Forget what is too old, and the oldest while there is too much."""
        with self._translated():
            before = models.Range(lt=self._clock() - self._limits.keep_seconds)
            old = models.Filter(must=[models.FieldCondition(key="read_at", range=before)])
            for collection in (self._pages, self._passages) if self._searchable() else (self._pages,):
                self._client.delete(collection, models.FilterSelector(filter=old))
            full = 1.0
            while self._count() > self._limits.passages * full:
                full = USED_AFTER_EVICTION
                if not self._forget_oldest():
                    return

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _forget_oldest(self) -> bool:
        oldest = models.OrderBy(key="read_at", direction=models.Direction.ASC)
        found, _ = self._client.scroll(self._pages, limit=OLDEST_AT_ONCE, order_by=oldest, with_payload=["url"])
        of_them = _one_of("url", [(point.payload or {})["url"] for point in found])
        for collection in (self._passages, self._pages):
            self._client.delete(collection, of_them)
        return bool(found)

    def _count(self) -> int:
        return self._client.count(self._passages).count if self._searchable() else 0

    def _searchable(self) -> bool:
        """Tell whether there is anything with vectors; another replica may have begun."""
        self._has_passages = self._has_passages or self._client.collection_exists(self._passages)
        return self._has_passages

    def _make_pages(self) -> None:
        by_rarity = models.SparseVectorParams(modifier=models.Modifier.IDF)
        self._client.create_collection(self._pages, {}, {WORDS: by_rarity}, on_disk_payload=True)
        for field, kind in (
            ("url", models.PayloadSchemaType.KEYWORD),
            ("read_at", models.PayloadSchemaType.FLOAT),
            ("whole", models.PayloadSchemaType.BOOL),
        ):
            self._client.create_payload_index(self._pages, field, kind)

    def _make_passages(self, dimensions: int) -> None:
        vectors = models.VectorParams(size=dimensions, distance=models.Distance.DOT)
        self._client.create_collection(self._passages, vectors, on_disk_payload=True)
        for field, kind in (("url", models.PayloadSchemaType.KEYWORD), ("read_at", models.PayloadSchemaType.FLOAT)):
            self._client.create_payload_index(self._passages, field, kind)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (ApiException, OSError, ValueError) as error:
            # The client's own mode for tests raises ValueError where a server answers 400.
            raise MemoryUnavailable(f"{self._place}: {type(error).__name__}: {str(error)[:200]}") from error


def _page(page: ReadPage) -> models.PointStruct:
    document = page.document
    payload = {"url": document.url, "read_at": page.read_at, "whole": page.whole, "document": _json(document)}
    return models.PointStruct(id=_page_id(document.url), vector={WORDS: _sparse(document)}, payload=payload)


def _passage(page: ReadPage, passage: Passage, vector: Vectors) -> models.PointStruct:
    document = page.document
    told = {"url": document.url, "title": document.title, "date": document.date, "read_at": page.read_at}
    payload = told | {"text": passage.text}
    return models.PointStruct(id=_passage_id(headed(passage)), vector=vector.tolist(), payload=payload)


def _sparse(document: Document) -> models.SparseVector:
    """Weigh the words of a page by how often they stand in it (BM25 without their rarity)."""
    counts = Counter(map(_number, words.stems(f"{document.title}\n{document.text}", document.language or "en")))
    length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * sum(counts.values()) / USUAL_WORDS
    values = [count * (SATURATION + 1) / (count + SATURATION * length) for count in counts.values()]
    return models.SparseVector(indices=list(counts), values=values)


def _number(stem: str) -> int:
    return zlib.crc32(stem.encode("utf-8", "replace"))


def _one_of(field: str, values: Sequence[str]) -> models.FilterSelector:
    condition = models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))
    return models.FilterSelector(filter=models.Filter(must=[condition]))


def _page_id(url: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, url))


def _passage_id(text: str) -> str:
    return str(uuid.UUID(bytes=text_key(text)))


def _hit(payload: dict[str, Any], excerpt: str) -> Hit:
    return Hit(payload["url"], payload["title"], " ".join(excerpt.split()), payload["date"])


def _read_page(payload: dict[str, Any] | None) -> ReadPage | None:
    document = _document(payload)
    return ReadPage(document, payload["read_at"], whole=payload["whole"]) if payload and document else None


def _document(payload: dict[str, Any] | None) -> Document | None:
    """Read a document; None where it is not sound."""
    try:
        return DOCUMENT.validate_json((payload or {}).get("document", ""))
    except ValueError:
        return None


def _json(document: Document) -> str:
    # Half characters, which a page may hold, become question marks.
    text = json.dumps(DOCUMENT.dump_python(document, mode="json"), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
