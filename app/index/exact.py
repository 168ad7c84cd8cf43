"""Nearest vectors by cosine, exactly: the catalog's vectors at one committed state, as a search sees them.

FAISS allows searches at the same time, but none during a change: its `add` moves the storage under their feet
(https://github.com/facebookresearch/faiss/wiki/Threads-and-asynchronous-calls). So an index never changes. A change
makes another one, which shares the rows of the first; whoever searches keeps the one that they began with, and nobody
waits for anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import faiss
import numpy as np
from faiss import swig_ptr
from numpy.typing import NDArray

from app.records.record import Keys, Vector, Vectors

_GROWTH = 1.5
_MOST_REMOVED = 0.25
"""Of all rows; beyond it the rest moves together."""

Mask = NDArray[np.bool_]


class _Rows:
    """Room for vectors under keys. What is written stays; indexes look at beginnings of it."""

    def __init__(self, room: int, dim: int) -> None:
        self.vectors = np.empty((room, dim), np.float32)
        self.keys = np.empty(room, np.int64)
        self.used = 0

    def append(self, keys: Keys, vectors: Vectors) -> None:
        end = self.used + len(keys)
        self.vectors[self.used : end], self.keys[self.used : end] = vectors, keys
        self.used = end


class Index:
    """Vectors of unit length under integer keys; their inner product is the cosine. Made empty.

    `expected` vectors, and some more, find room in it without being moved.
    """

    def __init__(self, dim: int, expected: int = 0) -> None:
        self._view(_Rows(expected + expected // 8, dim), 0, None)

    def _view(self, rows: _Rows, count: int, valid: Mask | None) -> None:
        self._rows, self._count = rows, count
        self._valid = valid
        """(count,); None if all of them are."""
        self._length = count if valid is None else int(np.count_nonzero(valid))
        self._bits = None if valid is None else np.packbits(valid, bitorder="little")

    def __len__(self) -> int:
        return self._length

    @property
    def dim(self) -> int:
        return self._rows.vectors.shape[1]

    # Changing

    def changed(self, removed: Sequence[int] = (), keys: Sequence[int] = (), vectors: Vectors | None = None) -> Index:
        """An index without some keys and then with others; this one stays as it is.

        It costs as much as is appended if this is the latest of its line, and a copy of everything if not. For one
        thread at a time.
        """
        rows, count, valid = self._rows, self._count, self._valid
        if removed and (here := np.isin(rows.keys[:count], removed)).any():
            valid = ~here if valid is None else valid & ~here
            if np.count_nonzero(valid) < (1 - _MOST_REMOVED) * count:
                rows, count, valid = _moved(rows, count, valid, 0)
        if keys:
            if rows.used != count:  # another index went on from here
                rows, count, valid = _moved(rows, count, valid, len(keys))
            if count + len(keys) > len(rows.keys):
                rows, count, valid = _moved(rows, count, valid, max(len(keys), int(count * (_GROWTH - 1))))
            rows.append(np.asarray(keys, np.int64), np.asarray(vectors, np.float32))
            count += len(keys)
            valid = None if valid is None else np.concatenate([valid, np.ones(len(keys), np.bool_)])
        after = Index.__new__(Index)
        after._view(rows, count, valid)
        return after

    def forget_successor(self) -> None:
        """Let the next change have the room of the last one, which nobody has seen and nobody will."""
        self._rows.used = self._count

    def shares_rows(self, other: Index) -> bool:
        """Whether both look at the same memory."""
        return self._rows is other._rows

    # Searching: any number of threads at a time

    def search(self, query: Vector, limit: int, keys: Keys | None = None) -> list[tuple[int, float]]:
        """The `limit` nearest to a vector, among `keys` if given: (key, cosine), best first.

        Fewer if there are fewer. Of equal ones the oldest comes first, so that pages neither overlap nor leave one out.
        Raises ValueError if the vector is of another size.
        """
        valid, bits = self._among(keys)
        members = self._length if keys is None or valid is None else int(np.count_nonzero(valid))
        limit = min(limit, members)
        if limit <= 0:
            return []
        asked = min(limit + 1, members)
        while True:
            scores, rows = self._nearest(query, asked, bits)
            if asked == members or scores[-1] < scores[limit - 1]:
                break
            asked = min(asked * 2, members)  # some may be equal to the last one and come before it
        scores, rows = scores[rows >= 0], rows[rows >= 0]  # less than no likeness, as with a query that is not finite
        found = self._rows.keys[rows]
        best = np.lexsort((found, -scores))[:limit]
        cosines = scores[best].clip(-1, 1)  # rounding may leave the range by 1e-7
        return list(zip(found[best].tolist(), cosines.tolist(), strict=True))

    def _among(self, keys: Keys | None) -> tuple[Mask | None, NDArray[np.uint8] | None]:
        if keys is None:
            return self._valid, self._bits
        chosen = np.isin(self._rows.keys[: self._count], keys)
        if self._valid is not None:
            chosen &= self._valid
        return chosen, np.packbits(chosen, bitorder="little")

    def _nearest(self, query: Vector, limit: int, bits: NDArray[np.uint8] | None) -> tuple[Vector, NDArray[np.int64]]:
        query = np.ascontiguousarray(query, np.float32)
        if query.shape != (self.dim,):
            raise ValueError(f"a query of shape {query.shape} for vectors of size {self.dim}")
        scores, rows = np.empty(limit, np.float32), np.empty(limit, np.int64)
        place = (swig_ptr(query), swig_ptr(self._rows.vectors), self.dim, 1, self._count, limit)
        chosen = () if bits is None else (faiss.IDSelectorBitmap(len(bits), swig_ptr(bits)),)
        faiss.knn_inner_product(*place, swig_ptr(scores), swig_ptr(rows), *chosen)
        return scores, rows

    def sample_scores(self, query: Vector, n: int) -> NDArray[np.float32]:
        """Cosines of a vector with `n` of the vectors here, or with all if there are fewer: evenly spread, in no order.

        The same for the same query as long as nothing changes.
        """
        rows = np.arange(self._count) if self._valid is None else np.flatnonzero(self._valid)
        if len(rows) > n:
            rows = rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]
        cosines: NDArray[np.float32] = self._rows.vectors[rows] @ np.asarray(query, np.float32)
        return cosines.clip(-1, 1)

    # The whole of it, for a file

    def batches(self, size: int) -> Iterator[tuple[Keys, Vectors]]:
        """(n,) and (n, dim) a batch, in the order of their keys."""
        rows = np.arange(self._count) if self._valid is None else np.flatnonzero(self._valid)
        rows = rows[np.argsort(self._rows.keys[rows])]
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            yield self._rows.keys[batch], self._rows.vectors[batch]


def _moved(rows: _Rows, count: int, valid: Mask | None, room: int) -> tuple[_Rows, int, Mask | None]:
    """The valid ones in rows of their own, with room for some more."""
    chosen: slice | Mask = slice(count) if valid is None else valid
    keys = rows.keys[:count][chosen]
    moved = _Rows(len(keys) + room, rows.vectors.shape[1])
    moved.append(keys, rows.vectors[:count][chosen])
    return moved, len(keys), None
