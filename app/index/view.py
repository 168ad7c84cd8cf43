"""What a search sees: records and vectors of one committed state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.index.exact import Index
from app.index.selection import Selected
from app.operations import metrics
from app.records.record import EVERY, Condition, Keys, Record, Vector
from app.storage.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result."""

    record: Record
    score: float
    """Cosine similarity, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found."""

    hits: list[Hit]
    exact: bool
    """Whether these are certainly the nearest ones."""
    recall_estimate: float | None
    """The share of the ten nearest that such a search finds; None if these are exact, or it was not measured."""


@dataclass(frozen=True, slots=True)
class View:
    """One state of the catalog and the index of exactly that state. For one thread at a time."""

    records: Snapshot
    index: Index
    remember: Callable[[Vector], None]
    """How the index learns what is asked."""
    selected: Selected

    def keys(self, condition: Condition) -> Keys | None:
        """Of the records that meet a condition; None if all do."""
        return None if condition == EVERY else self.selected.keys(self.records, condition)

    def find(self, vector: Vector, limit: int, offset: int = 0, keys: Keys | None = None) -> Hits:
        """The pictures nearest to a vector, among `keys` if given, best first, leaving out the first `offset`."""
        with metrics.SEARCH_SECONDS.time():
            found = self.index.find(vector, offset + limit, keys)
        self.remember(vector)
        nearest = found.hits[offset:]
        records = self.records.by_keys([key for key, _ in nearest])
        lists = None if found.exact or keys is not None else self.index.lists  # it was measured without a filter
        recall = None if lists is None else lists.recall
        return Hits([Hit(records[key], score) for key, score in nearest], found.exact, recall)
