"""The latest queries that were asked, which recall is measured with."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from app.records.record import Vector, Vectors


class Asked:
    """Different queries, at most `room` of them. Thread-safe."""

    def __init__(self, dim: int, room: int) -> None:
        self._dim, self._room = dim, room
        self._queries: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._queries)

    def add(self, query: Vector) -> None:
        """What is asked again, as with every further page, says no more than once: it would bear itself out."""
        key = query.tobytes()
        with self._lock:
            self._queries[key] = None
            self._queries.move_to_end(key)
            if len(self._queries) > self._room:
                self._queries.popitem(last=False)

    def vectors(self) -> Vectors:
        """(n, dim), the one that was asked last at the end."""
        with self._lock:
            known = b"".join(self._queries)
        return np.frombuffer(known, np.float32).reshape(-1, self._dim)
