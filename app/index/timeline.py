"""The index at each of the last committed states, so that a search sees records and vectors of the same one.

The index of a state is there before the catalog shows that state. Searches neither wait for a commit nor repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.index.exact import Index
from app.records.record import Vector

_KEPT = 8
"""States. A search asks for the one that it has just seen in the catalog."""


class Timeline:
    """States go by the catalog's count of changes. One thread may extend it while others read."""

    def __init__(self, index: Index, changes: int) -> None:
        self._indexes = {changes: index}
        self._latest = changes

    @property
    def latest(self) -> Index:
        return self._indexes[self._latest]

    def is_up_to(self, changes: int) -> bool:
        """Whether that state is the latest one."""
        return self._latest == changes

    def at(self, changes: int) -> Index | None:
        """None if that state is over, or was never prepared."""
        return self._indexes.get(changes)

    def prepare(self, changes: int, removed: Sequence[int], added: Sequence[tuple[int, Vector]]) -> None:
        """What the index will be when that state, the next one, is committed."""
        self._indexes[changes] = self.latest.with_change(removed, added)

    def settle(self, changes: int) -> None:
        """That state is committed."""
        self._latest = changes
        for number in list(self._indexes)[:-_KEPT]:
            del self._indexes[number]
        for number, index in list(self._indexes.items()):
            if not index.shares_rows(self.latest):  # rows that are left behind would stay in memory
                del self._indexes[number]
            elif index is not self.latest:  # which a change without vectors goes on with
                index.forget_kept()

    def improve(self, index: Index) -> None:
        """Put an index in the place of the latest one: of the same vectors, found in another way.

        No state may be prepared. Those before are over: their rows and lists would stay in memory.
        """
        self._indexes[self._latest] = index
        for number in [number for number in self._indexes if number != self._latest]:
            del self._indexes[number]

    def drop(self, changes: int) -> None:
        """That state, prepared, will not be."""
        if changes != self._latest and self._indexes.pop(changes, None) is not None:
            self.latest.forget_successor()
