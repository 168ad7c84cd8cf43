"""What a filter lets through, found once for each state of the catalog: the next page asks for the same again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.records.record import Condition, Keys
from app.storage.snapshot import Snapshot

_MOST = 64
_MOST_KEYS = 8_000_000
"""64 MB."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of an index."""

    mask: NDArray[np.bool_]
    """(rows,)"""
    bits: NDArray[np.uint8]
    """The same, one bit each."""
    members: int
    by_list: NDArray[np.int64] | None
    """How many there are in each of the lists, if there are lists."""

    @classmethod
    def of(cls, mask: NDArray[np.bool_], list_of: NDArray[np.int32] | None, lists: int) -> Selection:
        """Of a mask (rows,), where the first rows are in lists."""
        by_list = None if list_of is None else np.bincount(list_of[mask[: len(list_of)]], minlength=lists)
        return cls(mask, np.packbits(mask, bitorder="little"), int(np.count_nonzero(mask)), by_list)


class Selected:
    """The keys of the records that meet conditions, as long as nothing changes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token = ""
        self._keys: OrderedDict[Condition, Keys] = OrderedDict()

    def keys(self, records: Snapshot, condition: Condition) -> Keys:
        """Of the records that meet a condition, in no order. The same array as long as it is kept."""
        token = records.state.token
        with self._lock:
            if token == self._token and condition in self._keys:
                self._keys.move_to_end(condition)
                return self._keys[condition]
        keys = records.keys(condition)
        with self._lock:
            if token != self._token:
                self._token = token
                self._keys.clear()
            self._keys[condition] = keys
            while len(self._keys) > _MOST or sum(map(len, self._keys.values())) > _MOST_KEYS:
                self._keys.popitem(last=False)
        return keys
