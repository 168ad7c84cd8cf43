"""Vectors of texts that were asked for before: searches repeat, and the next page of one asks for the same words."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np

from app.operations import metrics
from app.records.record import Vector


class RememberedTexts:
    """The vectors of the texts last asked for, at most `room` of them, each by the model that made it. Thread-safe.

    Texts are known by their hash, so that long ones take no more room than short ones.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    def find(self, fingerprint: str, text: str) -> Vector | None:
        """The vector of a text by the model of this fingerprint, read-only, if it is remembered."""
        key = _key(fingerprint, text)
        with self._lock:
            vector = self._vectors.get(key)
            if vector is not None:
                self._vectors.move_to_end(key)
        metrics.TEXT_CACHE.labels("miss" if vector is None else "hit").inc()
        return vector

    def keep(self, fingerprint: str, text: str, vector: Vector) -> None:
        """Remember a vector, and forget the one that was asked for longest ago if there is no room."""
        own = np.array(vector)  # not a view, which would keep its whole batch alive
        own.flags.writeable = False
        with self._lock:
            self._vectors[_key(fingerprint, text)] = own
            self._vectors.move_to_end(_key(fingerprint, text))
            while len(self._vectors) > self._room:
                self._vectors.popitem(last=False)


def _key(fingerprint: str, text: str) -> bytes:
    return hashlib.sha256(f"{fingerprint}\0{text}".encode("utf-8", "surrogatepass")).digest()
