"""The catalog: an SQLite file with every record, its metadata and its vector. It is the truth, the index a copy.

A committed transaction survives `kill -9` and power loss: write-ahead log, `synchronous=FULL`. Readers never wait for
the writer. There is one writer at a time, which the caller sees to.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import DataFolderError

Vector = NDArray[np.float32]
"""(dim,), of unit length."""
Vectors = NDArray[np.float32]
"""(n, dim), each row of unit length."""

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE images (
    key INTEGER PRIMARY KEY AUTOINCREMENT,  -- also the key in the index; never used twice
    id TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    content_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT;
CREATE INDEX images_by_sha256 ON images (sha256);
CREATE TABLE vectors (
    key INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,  -- of the model that made the vector
    vector BLOB NOT NULL  -- little-endian float32
) STRICT;
CREATE TABLE unreferenced (sha256 TEXT PRIMARY KEY) STRICT;  -- files whose last record went, perhaps not deleted yet
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
_COLUMNS = "key, id, sha256, content_type, bytes, width, height, created_at, metadata"
_VECTOR = "SELECT 1 FROM vectors WHERE vectors.key = images.key AND fingerprint = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a picture before it is in the catalog."""

    id: str
    sha256: str
    content_type: str
    bytes: int
    width: int
    height: int
    created_at: str
    """RFC 3339, UTC."""
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Entry):
    """A picture in the catalog."""

    key: int


class Catalog:
    """Safe to use from several threads. Raises DataFolderError if the file is not a catalog of this version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        try:
            self._writer = self._connect()
            self._prepare()
        except sqlite3.Error as error:
            raise DataFolderError(f"The catalog {path} cannot be opened: {error}.") from error

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: transactions begin and end where this file says so
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _prepare(self) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._writer.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise DataFolderError(
                f"The catalog {self._path} is of version {version}; this Parallax reads {SCHEMA_VERSION}."
            )

    def close(self) -> None:
        """Close every connection. No other thread may be using the catalog."""
        while self._idle:
            self._idle.pop().close()
        self._writer.close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def _select(self, tail: str, parameters: Sequence[object] = ()) -> list[Record]:
        with self._reader() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM images {tail}", parameters).fetchall()
        return [_record(row) for row in rows]

    # Reading

    def count(self) -> int:
        with self._reader() as connection:
            (count,) = connection.execute("SELECT count(*) FROM images").fetchone()
        return int(count)

    def by_id(self, image_id: str) -> Record | None:
        return next(iter(self._select("WHERE id = ?", (image_id,))), None)

    def by_sha256(self, sha256: str) -> Record | None:
        """The oldest record of these bytes."""
        return next(iter(self._select("WHERE sha256 = ? ORDER BY key LIMIT 1", (sha256,))), None)

    def by_keys(self, keys: Sequence[int]) -> dict[int, Record]:
        """The records there are, of one moment."""
        marks = ",".join("?" * len(keys))
        return {record.key: record for record in self._select(f"WHERE key IN ({marks})", keys)}

    def newest(self, limit: int, before: int | None = None) -> list[Record]:
        """Newest first; with `before`, those older than that key."""
        if before is None:
            return self._select("ORDER BY key DESC LIMIT ?", (limit,))
        return self._select("WHERE key < ? ORDER BY key DESC LIMIT ?", (before, limit))

    def vector(self, key: int, fingerprint: str) -> Vector | None:
        """None if there is none by this model."""
        with self._reader() as connection:
            query = "SELECT vector FROM vectors WHERE key = ? AND fingerprint = ?"
            row = connection.execute(query, (key, fingerprint)).fetchone()
        return None if row is None else _matrix([row[0]])[0]

    def vectors(self, fingerprint: str, batch: int = 10_000) -> Iterator[tuple[list[int], Vectors]]:
        """All vectors by one model, in the order of their keys: (keys, (n, dim)) a batch."""
        with self._reader() as connection:
            rows = connection.execute(
                "SELECT key, vector FROM vectors WHERE fingerprint = ? ORDER BY key", (fingerprint,)
            )
            while some := rows.fetchmany(batch):
                yield [key for key, _ in some], _matrix([vector for _, vector in some])

    def count_without_vector(self, fingerprint: str) -> int:
        """How many records have no vector by this model."""
        with self._reader() as connection:
            query = f"SELECT count(*) FROM images WHERE NOT EXISTS ({_VECTOR})"
            (count,) = connection.execute(query, (fingerprint,)).fetchone()
        return int(count)

    def without_vector(self, fingerprint: str, after: int, limit: int) -> list[Record]:
        """Some of them, in the order of their keys, from the first key after one."""
        tail = f"WHERE NOT EXISTS ({_VECTOR}) AND key > ? ORDER BY key LIMIT ?"
        return self._select(tail, (fingerprint, after, limit))

    def unreferenced(self) -> list[str]:
        """Hashes noted by `delete` that no record has taken up again."""
        query = "SELECT sha256 FROM unreferenced WHERE sha256 NOT IN (SELECT sha256 FROM images)"
        with self._reader() as connection:
            return [sha256 for (sha256,) in connection.execute(query)]

    def note(self, name: str) -> str | None:
        with self._reader() as connection:
            row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    # Writing: each call is one transaction, on disk when it returns

    def insert(self, entries: Sequence[Entry], vectors: Vectors, fingerprint: str) -> list[Record]:
        """Add records with their vectors (n, dim): all or none."""
        records = []
        with self._transaction() as connection:
            for entry, vector in zip(entries, vectors, strict=True):
                row = (entry.id, entry.sha256, entry.content_type, entry.bytes, entry.width, entry.height)
                text = json.dumps(entry.metadata, ensure_ascii=False, allow_nan=False)
                key = connection.execute(
                    "INSERT INTO images (id, sha256, content_type, bytes, width, height, created_at, metadata)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, entry.created_at, text),
                ).lastrowid
                assert key is not None
                connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (key, fingerprint, _blob(vector)))
                records.append(_record((key, *row, entry.created_at, text)))
        return records

    def delete(self, record: Record) -> bool:
        """Remove a record. True if it was the last one of its file; the file is then noted as unreferenced."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM images WHERE key = ?", (record.key,))
            query = "SELECT EXISTS (SELECT 1 FROM images WHERE sha256 = ?)"
            (used,) = connection.execute(query, (record.sha256,)).fetchone()
            if not used:
                connection.execute("INSERT OR IGNORE INTO unreferenced VALUES (?)", (record.sha256,))
        return not used

    def forget_unreferenced(self) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM unreferenced")

    def replace_vectors(self, keys: Iterable[int], vectors: Vectors, fingerprint: str) -> None:
        rows = [(key, fingerprint, _blob(vector)) for key, vector in zip(keys, vectors, strict=True)]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def set_note(self, name: str, value: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))


def _record(row: Sequence[Any]) -> Record:
    key, image_id, sha256, content_type, size, width, height, created_at, metadata = row
    return Record(
        key=key,
        id=image_id,
        sha256=sha256,
        content_type=content_type,
        bytes=size,
        width=width,
        height=height,
        created_at=created_at,
        metadata=json.loads(metadata),
    )


def _blob(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f4").tobytes()


def _matrix(blobs: Sequence[bytes]) -> Vectors:
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), -1).astype(np.float32)
