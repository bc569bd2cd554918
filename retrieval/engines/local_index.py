"""Finds files by the words of a query: BM25 over their texts, titles and paths, in memory. Knows no disk."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import bm25s
import numpy as np
from numpy.typing import NDArray

from retrieval import words
from retrieval.engines.snippet import snippet
from retrieval.local_files import LocalFile
from retrieval.types import Hit, Query

# A file whose title or path has a word of the query is more likely about it.
NAME_WEIGHT = 1.0
# A file is a result when it has so large a share of the query, words counted by their rarity: the web's results must
# not be crowded out by files that only share everyday words with it.
LEAST_SHARE = 0.25

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file that was read. Stems are as `words.stems` makes them in `language`."""

    file: LocalFile
    path: str
    title: str
    text: str
    language: str
    stems: Sequence[str] = field(repr=False)
    name_stems: Sequence[str] = field(repr=False)


def indexed(file: LocalFile, path: str, title: str, text: str, language: str) -> IndexedFile:
    """Make an entry of the index. `path` is below the folder. Blocks: a long text takes 0.2 s."""
    name = re.sub(r"[\W_]+", " ", f"{path.rpartition('.')[0]} {title}")
    return IndexedFile(file, path, title, text, language, _stems(text, language), _stems(name, language))


def _stems(text: str, language: str) -> list[str]:
    return [sys.intern(stem) for stem in words.stems(text, language)]


class FileIndex:
    """An index of files. Building it blocks for about a second for each million words."""

    def __init__(self, files: Sequence[IndexedFile]) -> None:
        self.files = tuple(files)
        self._texts = _Field([file.stems for file in files])
        self._names = _Field([file.name_stems for file in files])
        self._languages = sorted({file.language for file in files})

    def hits(self, query: Query) -> list[Hit]:
        """Return what fits a query, best first. Blocks."""
        asked = self._asked(query.text)
        if not asked or not self.files:
            return []
        in_texts = np.stack([self._texts.scores(variants) for variants in asked])
        in_names = np.stack([self._names.scores(variants) for variants in asked])
        present = (in_texts > 0) | (in_names > 0)
        weights = _weights(present)
        share = weights @ present / weights.sum()
        total = in_texts.sum(axis=0) + NAME_WEIGHT * in_names.sum(axis=0)
        order = [int(i) for i in np.argsort(-total, kind="stable") if share[i] >= LEAST_SHARE]
        telling = {stem: float(weight) for variants, weight in zip(asked, weights, strict=True) for stem in variants}
        return [_hit(self.files[i], telling) for i in order]

    def _asked(self, text: str) -> list[frozenset[str]]:
        """Return the stems that each word of a query has in the languages of the files."""
        rows = [words.stems(text, language) for language in self._languages]
        return list(dict.fromkeys(frozenset(variants) for variants in zip(*rows, strict=True)))


class _Field:
    """BM25 over one field of all files."""

    def __init__(self, corpus: Sequence[Sequence[str]]) -> None:
        self._size = len(corpus)
        self._bm25 = bm25s.BM25()
        self._known: frozenset[str] = frozenset(stem for stems in corpus for stem in stems)
        if self._known:
            self._bm25.index(corpus, show_progress=False)

    def scores(self, variants: frozenset[str]) -> Scores:
        """Return the scores of a word, the best of its variants, shape (files,); 0 where it is not."""
        known = sorted(variants & self._known)
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(np.max([self._bm25.get_scores([stem]) for stem in known], axis=0), dtype=np.float32)


def _weights(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how much each word tells, shape (words,): the fewer files have it, the more. One that none has is rare."""
    frequency = np.maximum(present.sum(axis=1), 1)
    return np.asarray(np.log((present.shape[1] + 1) / (frequency + 0.5)), dtype=np.float64)


def _hit(found: IndexedFile, weights: dict[str, float]) -> Hit:
    return Hit(found.file.url, found.title, snippet(found.text, weights), found.file.date)
