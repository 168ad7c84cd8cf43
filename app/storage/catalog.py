"""The catalog: an SQLite file with every record, its metadata and its vectors. It is the truth, the index a copy.

A committed change survives `kill -9` and power loss: write-ahead log, `synchronous=FULL`. Readers never wait for the
writer. There is one writer at a time, which the caller sees to.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import DataFolderError
from app.records.record import Condition, Entry, Keys, Record, Vector, Vectors
from app.storage.disk import catalog_errors
from app.storage.migrations import migrate
from app.storage.snapshot import Snapshot, State

__all__ = ["Catalog", "Change", "Condition", "Entry", "Keys", "Record", "Snapshot", "State", "Vector", "Vectors"]

_MOST_IDLE = 32
_WAIT_SECONDS = 30
_LARGEST_LOG = 64 * 2**20
_LITTLE = 2**16
"""Bytes; with fewer, SQLite cannot work."""


class Catalog:
    """Safe to use from several threads. Raises DataFolderError if the file is not a catalog that can be read here.

    Reading and writing raise StorageFull or StorageFault if the disk does not do its part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        try:
            self._writer = self._connect()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")
            migrate(self._writer, path)
        except BaseException as error:
            self._writer.close()
            if isinstance(error, sqlite3.Error):
                raise self._unusable(error) from error
            raise

    def _unusable(self, error: sqlite3.Error) -> DataFolderError:
        full = shutil.disk_usage(self._path.parent).free < _LITTLE
        return DataFolderError(f"The catalog {self._path} cannot be opened: {'the disk is full' if full else error}.")

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: transactions begin and end where this file says so
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_WAIT_SECONDS)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # sorting needs no room on the disk
        return connection

    def close(self) -> None:
        """Close every connection. No other thread may be using the catalog."""
        while self._idle:
            self._idle.pop().close()
        self._writer.close()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The state at this moment, until the block ends."""
        with catalog_errors():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            kept = False
            try:
                connection.execute("BEGIN")
                yield Snapshot(connection)
                connection.execute("COMMIT")
                kept = len(self._idle) < _MOST_IDLE
            finally:
                if kept:
                    self._idle.append(connection)
                else:  # also after an error, whatever it was: a new one is made soon enough
                    connection.close()

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Changes that are all on disk when the block has ended, or none of them if it raises."""
        with catalog_errors():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Change(self._writer)
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def shrink(self) -> None:
        """Give back the room that the log takes, as far as readers and the disk allow. For the one who writes."""
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # One question each; for several about the same state, take a snapshot

    def count(self) -> int:
        with self.snapshot() as snapshot:
            return snapshot.count()

    def by_id(self, image_id: str) -> Record | None:
        with self.snapshot() as snapshot:
            return snapshot.by_id(image_id)

    def by_sha256(self, sha256: str) -> Record | None:
        """The oldest record of these bytes."""
        with self.snapshot() as snapshot:
            return snapshot.by_sha256(sha256)

    def note(self, name: str) -> str | None:
        with self.snapshot() as snapshot:
            return snapshot.note(name)


class Change(Snapshot):
    """What is being written: the catalog as it will be. It notes what the index has to follow."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.removed: list[int] = []
        """Keys whose vectors are no longer valid."""
        self.added: list[tuple[int, Vector]] = []
        """Vectors that are valid from now on."""

    def outcome(self) -> State:
        """Names the catalog as it will be."""
        return self._state()

    def insert(self, entries: Sequence[Entry], vectors: Vectors, fingerprint: str) -> list[Record]:
        """Add records with their vectors (n, dim)."""
        columns = "id, sha256, content_type, bytes, width, height, created_at, metadata"
        records = []
        for entry in entries:
            inserted = self._connection.execute(
                f"INSERT INTO images ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (entry.id, *_content(entry), entry.created_at, _text(entry.metadata)),
            )
            assert inserted.lastrowid is not None
            records.append(_record(inserted.lastrowid, entry))
        self._set_vectors([record.key for record in records], vectors, fingerprint)
        return records

    def replace(self, record: Record, entry: Entry, vector: Vector, fingerprint: str) -> Record:
        """Put another picture in a record's place. It keeps its id, its place in the list and its age."""
        self._connection.execute(
            "UPDATE images SET sha256 = ?, content_type = ?, bytes = ?, width = ?, height = ?, metadata = ?"
            " WHERE key = ?",
            (*_content(entry), _text(entry.metadata), record.key),
        )
        self._connection.execute("DELETE FROM vectors WHERE key = ?", (record.key,))  # those by other models too
        self.removed.append(record.key)
        self._set_vectors([record.key], vector[np.newaxis], fingerprint)
        if record.sha256 != entry.sha256:
            self._note_if_unreferenced(record.sha256)
        return replace(_record(record.key, entry), created_at=record.created_at)

    def set_metadata(self, record: Record, metadata: dict[str, Any]) -> Record:
        self._connection.execute("UPDATE images SET metadata = ? WHERE key = ?", (_text(metadata), record.key))
        return replace(record, metadata=metadata)

    def delete(self, record: Record) -> None:
        """Remove a record. If it was the last one of its file, the file is noted as unreferenced."""
        self._connection.execute("DELETE FROM images WHERE key = ?", (record.key,))
        self.removed.append(record.key)
        self._note_if_unreferenced(record.sha256)

    def _note_if_unreferenced(self, sha256: str) -> None:
        if self.by_sha256(sha256) is None:
            self._connection.execute("INSERT OR IGNORE INTO unreferenced VALUES (?)", (sha256,))

    def forget_unreferenced(self, hashes: Iterable[str]) -> None:
        """Files that are deleted."""
        rows = [(sha256,) for sha256 in hashes]
        self._connection.executemany("DELETE FROM unreferenced WHERE sha256 = ?", rows)

    def add_vectors(self, records: Sequence[Record], vectors: Vectors, fingerprint: str) -> None:
        """Give records that have no vector by this model one (n, dim). Those that changed meanwhile are left out."""
        now = self.by_keys([record.key for record in records])
        same = [
            number
            for number, record in enumerate(records)
            if record.key in now
            and now[record.key].sha256 == record.sha256
            and self.vector(record.key, fingerprint) is None
        ]
        self._set_vectors([records[number].key for number in same], vectors[same], fingerprint)

    def _set_vectors(self, keys: Sequence[int], vectors: Vectors, fingerprint: str) -> None:
        self._connection.execute("INSERT OR IGNORE INTO models (fingerprint) VALUES (?)", (fingerprint,))
        model = self._number("SELECT model FROM models WHERE fingerprint = ?", (fingerprint,))
        rows = [(key, model, _blob(vector)) for key, vector in zip(keys, vectors, strict=True)]
        self._connection.executemany("INSERT INTO vectors VALUES (?, ?, ?)", rows)
        self.added += zip(keys, vectors, strict=True)

    def drop_vectors(self, keys: Sequence[int], fingerprint: str) -> None:
        """Remove vectors by a model that turned out to be none."""
        query = "DELETE FROM vectors WHERE key = ? AND model = (SELECT model FROM models WHERE fingerprint = ?)"
        self._connection.executemany(query, [(key, fingerprint) for key in keys])
        self.removed += keys

    def drop_other_vectors(self, fingerprint: str, limit: int) -> int:
        """Remove vectors by other models where there is one by this model, `limit` at most. How many went."""
        query = """
            DELETE FROM vectors WHERE rowid IN (
                SELECT other.rowid FROM vectors AS other JOIN models USING (model)
                WHERE fingerprint <> ?1 AND EXISTS (
                    SELECT 1 FROM vectors AS own JOIN models AS m ON m.model = own.model
                    WHERE own.key = other.key AND m.fingerprint = ?1
                ) LIMIT ?2
            )
        """
        dropped = self._connection.execute(query, (fingerprint, limit)).rowcount
        if not dropped:
            self._connection.execute("DELETE FROM models WHERE model NOT IN (SELECT model FROM vectors)")
        return dropped

    def set_note(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))


def _content(entry: Entry) -> tuple[str, str, int, int, int]:
    return entry.sha256, entry.content_type, entry.bytes, entry.width, entry.height


def _record(key: int, entry: Entry) -> Record:
    return Record(
        key=key,
        id=entry.id,
        sha256=entry.sha256,
        content_type=entry.content_type,
        bytes=entry.bytes,
        width=entry.width,
        height=entry.height,
        created_at=entry.created_at,
        metadata=entry.metadata,
    )


def _text(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, allow_nan=False)


def _blob(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f4").tobytes()
