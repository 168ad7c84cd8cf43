"""Records, files and vectors, kept in agreement: the durable half of the gallery.

The order of writes makes the promise that an answered write survives: an original is on disk, then its row and vector
are, then the index has it. Deletes go from the row to the index to the file. Many threads may call every method.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.catalog import Catalog, Entry, Record, Vector, Vectors
from app.errors import IdTaken, NotFound, OriginalLost
from app.folder import DataFolder
from app.index import Index
from app.originals import Originals, Staged


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture about to be added; its bytes are on disk already."""

    entry: Entry
    vector: Vector
    thumbnail: bytes
    staged: Staged
    named: bool
    """Whether the user chose the id. If not, bytes that are there already are not added again."""


@dataclass(frozen=True, slots=True)
class Added:
    """The record of a picture; a duplicate is one that was there before, found by its bytes."""

    record: Record
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result."""

    record: Record
    score: float
    """Cosine similarity, -1 to 1."""


class Store:
    """The contents of a data folder under one model. Opening it reads that model's vectors into the index."""

    def __init__(self, folder: DataFolder, *, dim: int, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self._writer = threading.Lock()
        self.catalog = Catalog(folder.catalog)
        self.originals = Originals(folder)
        self.index = Index(dim)
        for keys, vectors in self.catalog.vectors(fingerprint):
            self.index.add(keys, vectors)
        for sha256 in self.catalog.unreferenced():  # a crash came between the row and the file
            self.originals.remove(sha256)
        self.catalog.forget_unreferenced()

    def close(self) -> None:
        """No other thread may be using the store."""
        self.catalog.close()

    def get(self, image_id: str) -> Record:
        """Raises NotFound."""
        record = self.catalog.by_id(image_id)
        if record is None:
            raise NotFound(f"There is no picture with the id {image_id!r}.")
        return record

    def content(self, record: Record) -> Path:
        """The file with the original bytes. Raises OriginalLost, or NotFound."""
        path = self.originals.path(record.sha256)
        if not path.is_file():
            self.get(record.id)  # it may have been deleted just now
            raise OriginalLost(f"The file of the picture {record.id!r} is missing from the data folder.")
        return path

    def vector(self, record: Record) -> Vector | None:
        return self.catalog.vector(record.key, self._fingerprint)

    def nearest(self, vector: Vector, limit: int, offset: int) -> list[Hit]:
        """The pictures nearest to a vector, best first, leaving out the first `offset`."""
        while True:
            nearest = self.index.search(vector, offset + limit)[offset:]
            records = self.catalog.by_keys([key for key, _ in nearest])
            deleted = [key for key, _ in nearest if key not in records]
            if not deleted:
                return [Hit(records[key], score) for key, score in nearest]
            with self._writer:  # whoever deletes them is between row and index; a page without them would be short
                self.index.remove(deleted)

    def add(self, candidates: Sequence[Candidate]) -> list[Added | IdTaken]:
        """Make pictures durable and searchable in one transaction. No two of them may have the same id or bytes."""
        with self._writer:
            outcomes = [self._twin(candidate) or candidate for candidate in candidates]
            fresh = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
            records = iter(self._insert(fresh) if fresh else ())
        return [Added(next(records)) if isinstance(outcome, Candidate) else outcome for outcome in outcomes]

    def _twin(self, candidate: Candidate) -> Added | IdTaken | None:
        if candidate.named:
            return self.id_taken(candidate.entry.id)
        record = self.catalog.by_sha256(candidate.entry.sha256)
        return None if record is None else Added(record, duplicate=True)

    def id_taken(self, image_id: str) -> IdTaken | None:
        """The error to raise or report if there is a picture with this id."""
        if self.catalog.by_id(image_id) is None:
            return None
        return IdTaken(f"There is a picture with the id {image_id!r} already.")

    def _insert(self, candidates: Sequence[Candidate]) -> list[Record]:
        entries = [candidate.entry for candidate in candidates]
        vectors = np.stack([candidate.vector for candidate in candidates])  # (n, dim)
        self.originals.publish(candidate.staged for candidate in candidates)
        for candidate in candidates:
            self.originals.write_thumbnail(candidate.entry.sha256, candidate.thumbnail)
        records = self.catalog.insert(entries, vectors, self._fingerprint)
        self.index.add([record.key for record in records], vectors)
        return records

    def delete(self, image_id: str) -> None:
        """Remove a picture; when this returns, no search finds it. Raises NotFound."""
        with self._writer:
            record = self.get(image_id)
            was_last = self.catalog.delete(record)
            self.index.remove([record.key])
            if was_last:
                self.originals.remove(record.sha256)

    def count_without_vector(self) -> int:
        """How many records this model has not encoded."""
        return self.catalog.count_without_vector(self._fingerprint)

    def without_vector(self, after: int, limit: int) -> list[Record]:
        """Some of them, in the order of their keys, from the first key after one."""
        return self.catalog.without_vector(self._fingerprint, after, limit)

    def set_vectors(self, records: Iterable[Record], vectors: Vectors) -> None:
        """Give records that had none a vector (n, dim)."""
        keys = [record.key for record in records]
        with self._writer:
            self.catalog.replace_vectors(keys, vectors, self._fingerprint)
            self.index.add(keys, vectors)

    def set_note(self, name: str, value: str) -> None:
        """Remember a fact about the folder."""
        with self._writer:
            self.catalog.set_note(name, value)
