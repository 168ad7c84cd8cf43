"""Reading the catalog: one committed state of it, whatever is written meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from app.admission.claim import claimed
from app.records.record import EVERY, Condition, Keys, Record, Vector

_COLUMNS = "key, id, sha256, content_type, bytes, width, height, created_at, metadata"
_MODEL = "(SELECT model FROM models WHERE fingerprint = ?)"
_OF_PICTURES = "vectors JOIN images USING (key)"  # another program may have removed pictures and left their vectors
_WITHOUT_VECTOR = f"NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = images.key AND model = {_MODEL})"

_STEPS = 200_000
"""Of SQLite's machine between two looks at whether the query is still wanted: some milliseconds."""


@dataclass(frozen=True, slots=True)
class State:
    """Names a state of the catalog."""

    changes: int
    """How many changes were made to pictures and vectors until then."""
    token: str
    """No other state, of any catalog, has this one."""


class Snapshot:
    """The catalog as it was at one moment. `Catalog.snapshot` gives it; it may be used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.state = self._state()  # from here on, nothing moves

    def _state(self) -> State:
        return State(*self._connection.execute("SELECT changes, token FROM state").fetchone())

    def _number(self, query: str, parameters: Sequence[object] = ()) -> int:
        (number,) = self._connection.execute(query, parameters).fetchone()
        return int(number)

    @contextmanager
    def _wanted(self) -> Iterator[None]:
        """For a query that may take long: it ends when its request is dropped. Raises CancelledError then."""
        wanted: Future[None] = Future()
        claimed(wanted)
        self._connection.set_progress_handler(wanted.cancelled, _STEPS)
        try:
            yield
        except sqlite3.OperationalError:
            if wanted.cancelled():
                raise CancelledError from None
            raise
        finally:
            self._connection.set_progress_handler(None, 0)
            wanted.cancel()

    def _select(self, tail: str, parameters: Sequence[object] = ()) -> list[Record]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM images {tail}", parameters)
        return [_record(row) for row in rows]

    def count(self, condition: Condition = EVERY) -> int:
        with self._wanted():
            return self._number(f"SELECT count(*) FROM images WHERE {condition.sql}", condition.parameters)

    def keys(self, condition: Condition = EVERY) -> Keys:
        """Of the records that meet a condition, in no order."""
        query = f"SELECT key FROM images WHERE {condition.sql}"
        with self._wanted():
            keys = self._connection.execute(query, condition.parameters)
            return np.fromiter(chain.from_iterable(keys), dtype=np.int64)

    def newest(self, limit: int, before: int | None = None, condition: Condition = EVERY) -> list[Record]:
        """Newest first; with `before`, those older than that key."""
        older = "" if before is None else "key < ? AND "
        parameters = () if before is None else (before,)
        tail = f"WHERE {older}({condition.sql}) ORDER BY key DESC LIMIT ?"
        with self._wanted():
            return self._select(tail, (*parameters, *condition.parameters, limit))

    def oldest(self, limit: int, after: int = 0) -> list[Record]:
        """Oldest first, from the first key after one."""
        return self._select("WHERE key > ? ORDER BY key LIMIT ?", (after, limit))

    def by_id(self, image_id: str) -> Record | None:
        return next(iter(self._select("WHERE id = ?", (image_id,))), None)

    def by_sha256(self, sha256: str) -> Record | None:
        """The oldest record of these bytes."""
        return next(iter(self._select("WHERE sha256 = ? ORDER BY key LIMIT 1", (sha256,))), None)

    def by_keys(self, keys: Sequence[int]) -> dict[int, Record]:
        """The records there are."""
        tail = "WHERE key IN (SELECT value FROM json_each(?))"
        return {record.key: record for record in self._select(tail, (json.dumps(list(keys)),))}

    def vector(self, key: int, fingerprint: str) -> Vector | None:
        """None if there is none by this model."""
        query = f"SELECT vector FROM vectors WHERE key = ? AND model = {_MODEL}"
        row = self._connection.execute(query, (key, fingerprint)).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype="<f4").astype(np.float32)

    def count_vectors(self, fingerprint: str) -> int:
        return self._number(f"SELECT count(*) FROM {_OF_PICTURES} WHERE model = {_MODEL}", (fingerprint,))

    def vectors(self, fingerprint: str, batch: int = 10_000) -> Iterator[tuple[list[int], list[bytes]]]:
        """All vectors by one model as they are stored, in the order of their keys: (keys, vectors) a batch."""
        query = f"SELECT key, vector FROM {_OF_PICTURES} WHERE model = {_MODEL} ORDER BY key"
        rows = self._connection.execute(query, (fingerprint,))
        while some := rows.fetchmany(batch):
            yield [key for key, _ in some], [vector for _, vector in some]

    def count_without_vector(self, fingerprint: str) -> int:
        """How many records have no vector by this model."""
        return self._number(f"SELECT count(*) FROM images WHERE {_WITHOUT_VECTOR}", (fingerprint,))

    def without_vector(self, fingerprint: str, after: int, limit: int) -> list[Record]:
        """Some of them, in the order of their keys, from the first key after one."""
        return self._select(f"WHERE key > ? AND {_WITHOUT_VECTOR} ORDER BY key LIMIT ?", (after, fingerprint, limit))

    def without_vector_of(self, sha256: str, fingerprint: str) -> list[Record]:
        """Those of them that are of these bytes."""
        return self._select(f"WHERE sha256 = ? AND {_WITHOUT_VECTOR} ORDER BY key", (sha256, fingerprint))

    def ids_without_vector(self) -> list[str]:
        """Records that no model has encoded."""
        query = "SELECT id FROM images WHERE key NOT IN (SELECT key FROM vectors) ORDER BY key"
        return [image_id for (image_id,) in self._connection.execute(query)]

    def fingerprints(self) -> list[str]:
        """Of models by which there may be vectors."""
        return [fingerprint for (fingerprint,) in self._connection.execute("SELECT fingerprint FROM models")]

    def models(self) -> list[tuple[str, int, int]]:
        """Of each model that encoded pictures: fingerprint, size of its vectors, and how many there are."""
        query = """
            SELECT fingerprint, length(vector) / 4, count(*) AS alike, sum(count(*)) OVER (PARTITION BY fingerprint)
            FROM vectors JOIN models USING (model) GROUP BY fingerprint, length(vector) ORDER BY fingerprint, alike
        """  # a damaged vector may have another size than the rest
        rows = self._connection.execute(query)
        return list({fingerprint: (fingerprint, dim, count) for fingerprint, dim, _, count in rows}.values())

    def files(self) -> Iterator[tuple[str, str, set[int]]]:
        """Every file that records need: hash, id of the oldest of them, and the sizes that they state."""
        query = "SELECT sha256, id, min(key), min(bytes), max(bytes) FROM images GROUP BY sha256 ORDER BY sha256"
        for sha256, image_id, _, least, most in self._connection.execute(query):
            yield sha256, image_id, {least, most}

    def faults(self) -> list[str]:
        """What SQLite finds wrong with the file, and metadata that is none."""
        faults = [fault for (fault,) in self._connection.execute("PRAGMA integrity_check(20)") if fault != "ok"]
        rows = self._connection.execute("PRAGMA foreign_key_check").fetchmany(20)
        faults += [f"row {row[1]} of {row[0]} refers to nothing" for row in rows]
        query = "SELECT id FROM images WHERE NOT json_valid(metadata) OR substr(metadata, 1, 1) <> '{' LIMIT 20"
        faults += [
            f"the metadata of {image_id!r} are no JSON object" for (image_id,) in self._connection.execute(query)
        ]
        return faults

    def unreferenced(self) -> list[str]:
        """Hashes of files whose last record went, and that no record has taken up again."""
        query = "SELECT sha256 FROM unreferenced WHERE sha256 NOT IN (SELECT sha256 FROM images)"
        return [sha256 for (sha256,) in self._connection.execute(query)]

    def note(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])


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
