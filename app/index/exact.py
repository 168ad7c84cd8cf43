"""Nearest vectors by cosine: the catalog's vectors at one committed state, as a search sees them.

FAISS allows searches at the same time, but none during a change: its `add` moves the storage under their feet
(https://github.com/facebookresearch/faiss/wiki/Threads-and-asynchronous-calls). So an index never changes. A change
makes another one, which shares the rows of the first; whoever searches keeps the one that they began with, and nobody
waits for anybody.

A search compares with every vector. Where the index has been given inverted lists (`lists.py`), it compares with the
candidates that these name among the rows they cover, and with every row that came later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from faiss import swig_ptr
from numpy.typing import NDArray

from app.index.lists import Lists
from app.index.rows import MappedRows, Rows
from app.index.selection import Selection
from app.records.record import Keys, Vector, Vectors

EXACT_UP_TO = 20_000
"""Vectors that are compared one by one: 3 ms of two cores at 512 numbers each. More of them are worth lists."""

_GROWTH = 0.5
_GROWTH_IN_FILE = 0.125
"""Where nothing has to be moved for it."""
_MOST_REMOVED = 0.25
"""Of all rows in memory; beyond it the rest moves together."""
_DEEPEST = 1000
"""Results. Whoever pages on beyond them gets the exact ones."""
_MOST_SELECTIONS = 8
_SINGLE = 8
"""Keys, up to which each is looked for by itself."""

Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    hits: list[tuple[int, float]]
    """(key, cosine), best first; of equal ones the oldest."""
    exact: bool
    """Whether these are certainly the nearest ones."""


class Index:
    """Vectors of unit length under integer keys; their inner product is the cosine. Made empty.

    `expected` vectors, and some more, find room in it without being moved; or `rows` are given.
    """

    def __init__(self, dim: int, expected: int = 0, rows: Rows | None = None) -> None:
        self._view(Rows(expected + expected // 8, dim) if rows is None else rows, 0, None, None)

    @classmethod
    def of(
        cls,
        rows: Rows,
        count: int,
        valid: Mask | None = None,
        lists: Lists | None = None,
        numbering: object | None = None,
    ) -> Index:
        """Of the first `count` rows, those that are `valid` (count,). A new numbering of rows, unless one is given."""
        index = cls.__new__(cls)
        index._view(rows, count, valid, lists, numbering)
        return index

    def _view(
        self, rows: Rows, count: int, valid: Mask | None, lists: Lists | None, numbering: object | None = None
    ) -> None:
        self._rows, self._count = rows, count
        self._numbering = object() if numbering is None else numbering
        """As long as it is the same, so are the numbers of rows, which lists go by."""
        self._valid = valid
        """(count,); None if all of them are."""
        self._length = count if valid is None else int(np.count_nonzero(valid))
        self._bits = None if valid is None else np.packbits(valid, bitorder="little")
        self.lists = lists
        """Over the first rows; None if every search is exact."""
        # For the next search; made anew where it is missing.
        self._sample: tuple[int, Vectors] | None = None
        self._tail: NDArray[np.int64] | None = None
        self._selections: list[tuple[Keys, Selection]] = []

    def __len__(self) -> int:
        return self._length

    @property
    def dim(self) -> int:
        return self._rows.dim

    @property
    def rows(self) -> tuple[Rows, int, Mask | None]:
        """Where the vectors lie: rows, how many of them from the first on, and which of these are valid (None: all)."""
        return self._rows, self._count, self._valid

    @property
    def bits(self) -> Bits | None:
        """Which rows are valid, one bit each; None if all of them are."""
        return self._bits

    @property
    def is_large(self) -> bool:
        """Whether it is worth lists."""
        return is_large(self._length)

    # Changing

    def changed(self, removed: Sequence[int] = (), keys: Sequence[int] = (), vectors: Vectors | None = None) -> Index:
        """An index without some keys and then with others; this one stays as it is.

        It costs as much as is appended if this is the latest of its line, and a copy of everything if not. For one
        thread at a time. Raises StorageError if there is no room for rows in a file.
        """
        rows, count, valid, numbering = self._rows, self._count, self._valid, self._numbering
        if removed and (gone := _places(rows.keys[:count], removed, valid)).size:
            valid = np.ones(count, np.bool_) if valid is None else valid.copy()
            valid[gone] = False
            stay = self.lists is not None or isinstance(rows, MappedRows)  # until upkeep closes the gaps, in a file
            if not stay and np.count_nonzero(valid) < (1 - _MOST_REMOVED) * count:
                rows, count, valid = _moved(rows, count, valid, 0)
                numbering = object()
        if keys:
            if rows.used != count:  # another index went on from here
                rows = _copied(rows, count, len(keys))
            if count + len(keys) > len(rows.keys):
                more = rows.grown(count + max(len(keys), int(count * _GROWTH_IN_FILE)))
                rows = more or _copied(rows, count, max(len(keys), int(count * _GROWTH)))
            rows.append(keys, np.asarray(vectors, np.float32))
            count += len(keys)
            valid = None if valid is None else np.concatenate([valid, np.ones(len(keys), np.bool_)])
        return Index.of(rows, count, valid, self.lists, numbering)

    def with_change(self, removed: Sequence[int], added: Sequence[tuple[int, Vector]]) -> Index:
        """The same as `changed`, from what a change of the catalog notes."""
        if not (removed or added):
            return self
        vectors = np.stack([vector for _, vector in added]) if added else None
        return self.changed(removed, [key for key, _ in added], vectors)

    def with_lists(self, lists: Lists | None) -> Index:
        """The same vectors, searched with the help of lists over the first of its rows."""
        return Index.of(self._rows, self._count, self._valid, lists, self._numbering)

    def numbers_rows_as(self, other: Index) -> bool:
        """Whether lists of one fit the other."""
        return self._numbering is other._numbering

    def forget_successor(self) -> None:
        """Let the next change have the room of the last one, which nobody has seen and nobody will."""
        self._rows.used = self._count

    def forget_kept(self) -> None:
        """Give back what was kept for the next search: there will hardly be one."""
        self._sample = self._tail = None
        self._selections = []

    def shares_rows(self, other: Index) -> bool:
        """Whether both look at the same memory."""
        return self._rows is other._rows

    # Searching: any number of threads at a time

    def search(self, query: Vector, limit: int, keys: Keys | None = None) -> list[tuple[int, float]]:
        """The hits of `find`."""
        return self.find(query, limit, keys).hits

    def find(self, query: Vector, limit: int, keys: Keys | None = None) -> Found:
        """The `limit` nearest to a vector, among `keys` if given.

        Fewer if there are fewer. Of equal ones the oldest comes first, so that pages neither overlap nor leave one out
        where they are exact. Lists name more candidates for deeper pages, of which some may belong on earlier ones.
        Raises ValueError if the vector is of another size.
        """
        query = np.ascontiguousarray(query, np.float32)
        if query.shape != (self.dim,):
            raise ValueError(f"a query of shape {query.shape} for vectors of size {self.dim}")
        # One query gains nothing from more threads, which wait for each other: with two, 100,000 comparisons take 9 ms,
        # with one 3. The other cores have the searches of others. The number belongs to the calling thread.
        faiss.omp_set_num_threads(1)
        chosen = None if keys is None else self._chosen(keys)
        members, bits = (self._length, self._bits) if chosen is None else (chosen.members, chosen.bits)
        limit = min(limit, members)
        if limit <= 0 or not math.isfinite(np.dot(query, query)):  # what is no direction has nothing near it
            return Found([], exact=True)
        if self.lists is not None and limit <= _DEEPEST and is_large(members):
            rows = self.lists.nearest(query, limit, bits, None if chosen is None else chosen.by_list)
            later = self._later(chosen)
            rows = np.concatenate([rows, later]) if len(later) else rows
            hits = self._best(self._cosines(query, rows), rows, limit)
            if len(hits) == limit:
                return Found(hits, exact=False)
        return Found(self._compared(query, limit, members, bits), exact=True)

    def _compared(self, query: Vector, limit: int, members: int, bits: Bits | None) -> list[tuple[int, float]]:
        """With every vector that the bits allow, of which there are `members`."""
        asked = min(limit + 1, members)
        while True:
            scores, rows = self._nearest(query, asked, bits)
            if asked == members or scores[-1] < scores[limit - 1]:
                break
            asked = min(asked * 2, members)  # some may be equal to the last one and come before it
        return self._best(scores, rows, limit)

    def _best(self, scores: Vector, rows: NDArray[np.int64], limit: int) -> list[tuple[int, float]]:
        if len(rows) > 2 * limit:  # sorting all of them takes longer than the comparison
            (near,) = (scores >= np.partition(scores, -limit)[-limit]).nonzero()
            scores, rows = scores[near], rows[near]
        found = self._rows.keys[rows]
        best = np.lexsort((found, -scores))[:limit]
        cosines = scores[best]
        if cosines.size and (cosines[0] > 1 or cosines[-1] < -1):  # rounding may leave the range by 1e-7
            cosines = cosines.clip(-1, 1)
        return list(zip(found[best].tolist(), cosines.tolist(), strict=True))

    def _chosen(self, keys: Keys) -> Selection:
        """The rows of some keys. Found once, as long as it is asked with the same array."""
        for known, selection in self._selections:
            if known is keys:
                return selection
        mask = np.isin(self._rows.keys[: self._count], keys)
        if self._valid is not None:
            mask &= self._valid
        lists = self.lists
        selection = Selection.of(mask, *((None, 0) if lists is None else (lists.list_of, lists.count)))
        self._selections = [(keys, selection), *self._selections[: _MOST_SELECTIONS - 1]]
        return selection

    def _nearest(self, query: Vector, limit: int, bits: Bits | None) -> tuple[Vector, NDArray[np.int64]]:
        scores, rows = np.empty(limit, np.float32), np.empty(limit, np.int64)
        place = (swig_ptr(query), swig_ptr(self._rows.vectors), self.dim, 1, self._count, limit)
        chosen = () if bits is None else (faiss.IDSelectorBitmap(len(bits), swig_ptr(bits)),)
        faiss.knn_inner_product(*place, swig_ptr(scores), swig_ptr(rows), *chosen)
        return scores, rows

    def _later(self, chosen: Selection | None) -> NDArray[np.int64]:
        """Rows that the lists do not cover: valid ones, or those chosen."""
        assert self.lists is not None
        covered = self.lists.covered
        if chosen is not None:
            return covered + np.flatnonzero(chosen.mask[covered:])
        tail = self._tail
        if tail is None:
            tail = np.arange(covered, self._count)
            self._tail = tail = tail if self._valid is None else tail[self._valid[covered:]]
        return tail

    def _cosines(self, query: Vector, rows: NDArray[np.int64]) -> Vector:
        """With some rows, read where they lie."""
        cosines = np.empty(len(rows), np.float32)
        place = (swig_ptr(cosines), swig_ptr(query), swig_ptr(self._rows.vectors), swig_ptr(rows))
        kernels: Any = faiss
        kernels.fvec_inner_products_by_idx(*place, self.dim, 1, len(rows))
        return cosines

    def sample_scores(self, query: Vector, n: int) -> NDArray[np.float32]:
        """Cosines of a vector with `n` of the vectors here, or with all if there are fewer: evenly spread, in no order.

        The same for the same query as long as nothing changes.
        """
        cosines: NDArray[np.float32] = self.sample(n) @ np.asarray(query, np.float32)
        return cosines.clip(-1, 1)

    def sample(self, n: int) -> Vectors:
        """`n` of the vectors here (n, dim), or all if there are fewer, evenly spread. Kept for the next time."""
        sample = self._sample
        if sample is not None and sample[0] == n:
            return sample[1]
        if self._length <= n or self._valid is not None:
            rows = np.arange(self._count) if self._valid is None else np.flatnonzero(self._valid)
            if len(rows) > n:
                rows = rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]
        else:
            rows = np.linspace(0, self._count - 1, n).astype(np.int64)
        vectors = self._rows.vectors[rows]
        self._sample = n, vectors
        return vectors

    # The whole of it, for a file

    def batches(self, size: int) -> Iterator[tuple[Keys, Vectors]]:
        """(n,) and (n, dim) a batch, in the order of their keys."""
        rows = np.arange(self._count) if self._valid is None else np.flatnonzero(self._valid)
        rows = rows[np.argsort(self._rows.keys[rows])]
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            yield self._rows.keys[batch], self._rows.vectors[batch]


def is_large(vectors: int) -> bool:
    """Whether so many are worth lists, and a place in a file."""
    return vectors > EXACT_UP_TO


def _places(keys: Keys, wanted: Sequence[int], valid: Mask | None) -> NDArray[np.int64]:
    """Rows of some keys, as far as they are valid; in no order."""
    if len(wanted) <= _SINGLE:
        places = np.concatenate([np.flatnonzero(keys == key) for key in wanted])
    else:
        places = np.flatnonzero(np.isin(keys, wanted))
    return places if valid is None else places[valid[places]]


def _moved(rows: Rows, count: int, valid: Mask, room: int) -> tuple[Rows, int, None]:
    """The valid ones in rows of their own, with room for some more."""
    keys = rows.keys[:count][valid]
    moved = Rows(len(keys) + room, rows.dim)
    moved.append(keys, rows.vectors[:count][valid])
    return moved, len(keys), None


def _copied(rows: Rows, count: int, room: int) -> Rows:
    """In rows of their own, under the same numbers, with room for some more."""
    copied = Rows(count + room, rows.dim)
    copied.append(rows.keys[:count], rows.vectors[:count])
    return copied
