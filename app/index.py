"""Nearest vectors by cosine, exactly. A cache in memory: it is made from the catalog at every start."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np

from app.catalog import Vector, Vectors
from app.turnstile import Turnstile


class Index:
    """Vectors of unit length under integer keys; their inner product is the cosine.

    FAISS allows searches at the same time, but none during a change: its `add` moves the storage under their feet
    (https://github.com/facebookresearch/faiss/wiki/Threads-and-asynchronous-calls).
    """

    def __init__(self, dim: int) -> None:
        self._faiss = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        self._lock = Turnstile()

    def __len__(self) -> int:
        return int(self._faiss.ntotal)

    def add(self, keys: Sequence[int], vectors: Vectors) -> None:
        """Searches see all of them or none."""
        with self._lock.writing():
            self._faiss.add_with_ids(np.ascontiguousarray(vectors), np.asarray(keys, dtype=np.int64))

    def remove(self, keys: Sequence[int]) -> None:
        with self._lock.writing():
            self._faiss.remove_ids(faiss.IDSelectorBatch(np.asarray(keys, dtype=np.int64)))

    def search(self, query: Vector, limit: int) -> list[tuple[int, float]]:
        """The `limit` nearest to a vector, best first: (key, cosine). Fewer if the index holds fewer."""
        with self._lock.reading():
            count = min(limit, len(self))
            if count == 0:
                return []
            scores, keys = self._faiss.search(np.ascontiguousarray(query[np.newaxis]), count)
        cosines = scores[0].clip(-1, 1)  # rounding may leave the range by 1e-7
        return [(int(key), float(score)) for key, score in zip(keys[0], cosines, strict=True)]
