"""Records, files and vectors, kept in agreement: the durable half of the gallery.

The order of writes makes the promise that an answered write survives: an original is on disk, then its row and vector
are. What a record no longer needs goes after the record. Many threads may call every method.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from app.errors import DataFolderError, IdTaken, NotFound, OriginalLost, StorageError, StorageFault, StorageFull
from app.index.file import IndexFile
from app.index.live import TARGET_RECALL, LiveIndex, whole_vectors
from app.operations import metrics
from app.records.record import Entry, Record, Vector, Vectors
from app.storage.catalog import Catalog, Change
from app.storage.disk import file_errors
from app.storage.folder import DataFolder
from app.storage.originals import Originals, Staged
from app.storage.reserve import Reserve

_BATCH = 1000
"""Vectors removed in one transaction, so that no writer waits for long."""


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
class Put:
    """The record of a picture that was put under an id: created, or in the place of the one that was there."""

    record: Record
    created: bool


class Store:
    """The contents of a data folder under one model. There is no search before `index.open`."""

    def __init__(self, folder: DataFolder, *, dim: int, fingerprint: str, target_recall: float = TARGET_RECALL) -> None:
        self._dim, self._fingerprint = dim, fingerprint
        self._writer = threading.Lock()
        self._removed: list[str] = []
        """Hashes of files that went since the catalog noted that they should."""
        self._reserve = Reserve(folder.reserve)
        self.originals = Originals(folder)
        if folder.is_new and next(self.originals.hashes(), None) is not None:
            raise DataFolderError(
                f"{folder.originals} holds pictures, but {folder.catalog.name} is missing or empty. Put it back from a"
                f" backup; or, to begin anew, move {folder.originals} away."
            )
        try:
            self.catalog = Catalog(folder.catalog)
        except DataFolderError:
            if not self._reserve.release():
                raise
            self.catalog = Catalog(folder.catalog)  # on a full disk, this is where there is room
        file = IndexFile(folder.index)
        self.index = LiveIndex(
            self.catalog, file, self._writer, dim=dim, fingerprint=fingerprint, target_recall=target_recall
        )
        try:
            self._clean_up()
            self._reserve.keep()
        except BaseException:
            self.catalog.close()
            raise

    def _clean_up(self) -> None:
        """Remove files that a crash left without a record."""
        self.originals.prepare()
        unsettled = self.originals.unsettled()
        with self.catalog.snapshot() as records:
            unused = [sha256 for sha256 in unsettled if records.by_sha256(sha256) is None]
            unused += records.unreferenced()
        self._removed = [sha256 for sha256 in unused if self.originals.remove(sha256)]
        self.originals.settle(set(unsettled) - (set(unused) - set(self._removed)))

    def close(self) -> None:
        """Keep the index for the next start. No other thread may be using the store."""
        self.index.close()
        self.catalog.close()

    # Reading

    def get(self, image_id: str) -> Record:
        """Raises NotFound."""
        return _found(self.catalog.by_id(image_id), image_id)

    def content(self, record: Record) -> BinaryIO:
        """The file with the original bytes, opened. Raises OriginalLost, NotFound or StorageError."""
        with file_errors():
            try:
                return self.originals.path(record.sha256).open("rb")
            except FileNotFoundError:
                self.get(record.id)  # it may have been deleted just now
                raise _lost(record) from None

    def original(self, record: Record) -> bytes:
        """The original bytes, which are those that were uploaded. Raises OriginalLost, or NotFound."""
        data = self.originals.read(record.sha256)
        if data is None:
            self.get(record.id)
            raise _lost(record)
        return data

    def vector(self, record: Record) -> Vector | None:
        """None if this model has not encoded it."""
        with self.catalog.snapshot() as records:
            return records.vector(record.key, self._fingerprint)

    # Writing: on disk, and seen by every search, when it returns

    def add(self, candidates: Sequence[Candidate]) -> list[Added | IdTaken]:
        """Add pictures in one transaction. No two of them may have the same id or bytes. Raises StorageError.

        A duplicate gives its vector to records of its bytes that have none: their file was lost when it was looked for.
        """
        with self._writer:
            outcomes = [self._twin(candidate) or candidate for candidate in candidates]
            fresh = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
            records = iter(self._insert(fresh) if fresh else ())
            twins = zip(candidates, outcomes, strict=True)
            self._revive([candidate for candidate, outcome in twins if isinstance(outcome, Added)])
        return [Added(next(records)) if isinstance(outcome, Candidate) else outcome for outcome in outcomes]

    def _twin(self, candidate: Candidate) -> Added | IdTaken | None:
        if candidate.named:
            return self.id_taken(candidate.entry.id)
        record = self.catalog.by_sha256(candidate.entry.sha256)
        return None if record is None else Added(record, duplicate=True)

    def _revive(self, candidates: Sequence[Candidate]) -> None:
        """Give the vectors of these to records of their bytes that have none."""
        bare = [(record, one.vector) for one in candidates for record in self.without_vector_of(one.entry.sha256)]
        if bare:
            with self._change() as change:
                records, vectors = [record for record, _ in bare], np.stack([vector for _, vector in bare])
                change.add_vectors(records, vectors, self._fingerprint)

    def id_taken(self, image_id: str) -> IdTaken | None:
        """The error to raise or report if there is a picture with this id."""
        if self.catalog.by_id(image_id) is None:
            return None
        return IdTaken(f"There is a picture with the id {image_id!r} already.")

    def _insert(self, candidates: Sequence[Candidate]) -> list[Record]:
        vectors = np.stack([candidate.vector for candidate in candidates])  # (n, dim)
        with self._published(candidates), self._change() as change:
            return change.insert([candidate.entry for candidate in candidates], vectors, self._fingerprint)

    def put(self, candidate: Candidate) -> Put:
        """Add a picture under its id, or put it in the place of the one that is there. Raises StorageError."""
        entry = candidate.entry
        with self._writer:
            with self._published([candidate]), self._change() as change:
                before = change.by_id(entry.id)
                if before is None:
                    (record,) = change.insert([entry], candidate.vector[np.newaxis], self._fingerprint)
                else:
                    record = change.replace(before, entry, candidate.vector, self._fingerprint)
            if before is not None:
                self._remove_unused(before.sha256)
        return Put(record, created=before is None)

    @contextmanager
    def _published(self, candidates: Sequence[Candidate]) -> Iterator[None]:
        """Originals have their names in the block, and keep them if it does not raise."""
        hashes = [candidate.entry.sha256 for candidate in candidates]
        try:
            self.originals.publish(candidate.staged for candidate in candidates)
            for candidate in candidates:
                self.originals.write_thumbnail(candidate.entry.sha256, candidate.thumbnail)
            yield
        except StorageFault:
            raise  # perhaps it is on disk after all, which only the next start can tell
        except BaseException:
            self.originals.settle([sha256 for sha256 in hashes if self._remove_unused(sha256)])
            raise
        self.originals.settle(hashes)

    def restore(self, sha256: str, data: bytes) -> None:
        """Put back the file of a picture, if it is missing or damaged. Raises StorageError."""
        if self.originals.read(sha256) is not None:
            return
        staged = self.originals.stage(sha256, data)
        try:
            with self._writer:
                if self.catalog.by_sha256(sha256) is not None:
                    self.originals.publish([staged])
                    self.originals.settle([sha256])
        finally:
            self.originals.discard([staged])

    def update_metadata(self, image_id: str, update: Callable[[dict[str, Any]], dict[str, Any]]) -> Record:
        """Give a picture the metadata that `update` makes of what it has. Raises NotFound, and what `update` raises."""
        with self._writer, self._change() as change:
            record = _found(change.by_id(image_id), image_id)
            return change.set_metadata(record, update(record.metadata))

    def delete(self, image_id: str) -> None:
        """Remove a picture; when this returns, no search finds it. Raises NotFound."""
        with self._writer:
            try:
                record = self._delete(image_id)
            except StorageFull:
                if not self._reserve.release():
                    raise
                self.catalog.shrink()
                record = self._delete(image_id)
            self._remove_unused(record.sha256)
            self._reserve.keep()

    def _delete(self, image_id: str) -> Record:
        with self._change() as change:
            record = _found(change.by_id(image_id), image_id)
            change.delete(record)
        return record

    @contextmanager
    def _change(self) -> Iterator[Change]:
        removed = list(self._removed)
        with self.index.change() as change:
            change.forget_unreferenced(removed)
            yield change
        del self._removed[: len(removed)]

    def _remove_unused(self, sha256: str) -> bool:
        """Remove a file that no record needs. False if that failed; the next start will do it."""
        with suppress(StorageError):
            if self.catalog.by_sha256(sha256) is not None:
                return True
            if self.originals.remove(sha256):
                self._removed.append(sha256)
                return True
        return False

    def set_note(self, name: str, value: str) -> None:
        """Remember a fact about the folder."""
        with self._writer, self._change() as change:
            change.set_note(name, value)

    # Another model

    def count_without_vector(self) -> int:
        """How many records this model has not encoded."""
        with self.catalog.snapshot() as records:
            return records.count_without_vector(self._fingerprint)

    def without_vector(self, after: int, limit: int) -> list[Record]:
        """Some of them, in the order of their keys, from the first key after one."""
        with self.catalog.snapshot() as records:
            return records.without_vector(self._fingerprint, after, limit)

    def without_vector_of(self, sha256: str) -> list[Record]:
        """Those of them that are of these bytes."""
        with self.catalog.snapshot() as records:
            return records.without_vector_of(sha256, self._fingerprint)

    def set_vectors(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Give records that had none a vector (n, dim); those that were replaced or deleted meanwhile are left out."""
        with self._writer, self._change() as change:
            change.add_vectors(records, vectors, self._fingerprint)

    def drop_damaged_vectors(self) -> int:
        """Remove vectors by this model that are none; how many there were."""
        with self.catalog.snapshot() as records:
            damaged = [
                key
                for keys, blobs in records.vectors(self._fingerprint)
                for key in set(keys).difference(whole_vectors(keys, blobs, self._dim)[0])
            ]
        if damaged:
            with self._writer, self._change() as change:
                change.drop_vectors(damaged, self._fingerprint)
        return len(damaged)

    def drop_other_vectors(self, stop: threading.Event) -> None:
        """Remove the vectors of pictures by other models, where there is one by this model."""
        with self.catalog.snapshot() as records:
            left = any(fingerprint != self._fingerprint for fingerprint in records.fingerprints())
        while left and not stop.is_set():
            with self._writer, self._change() as change:
                left = change.drop_other_vectors(self._fingerprint, _BATCH) > 0


def _found(record: Record | None, image_id: str) -> Record:
    if record is None:
        raise NotFound(f"There is no picture with the id {image_id!r}.")
    return record


def _lost(record: Record) -> OriginalLost:
    metrics.STORAGE_ERRORS.labels("original").inc()
    return OriginalLost(f"The file of the picture {record.id!r} is missing from the data folder, or damaged.")
