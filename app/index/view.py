"""What a search sees: records and vectors of one committed state."""

from __future__ import annotations

from dataclasses import dataclass

from app.index.exact import Index
from app.operations import metrics
from app.records.record import Keys, Record, Vector
from app.storage.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result."""

    record: Record
    score: float
    """Cosine similarity, -1 to 1."""


@dataclass(frozen=True, slots=True)
class View:
    """One state of the catalog and the index of exactly that state. For one thread at a time."""

    records: Snapshot
    index: Index

    def nearest(self, vector: Vector, limit: int, offset: int = 0, keys: Keys | None = None) -> list[Hit]:
        """The pictures nearest to a vector, among `keys` if given, best first, leaving out the first `offset`."""
        with metrics.SEARCH_SECONDS.time():
            nearest = self.index.search(vector, offset + limit, keys)[offset:]
        records = self.records.by_keys([key for key, _ in nearest])
        return [Hit(records[key], score) for key, score in nearest]
