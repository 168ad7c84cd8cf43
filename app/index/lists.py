"""Inverted lists: which rows are worth a comparison with a query.

Rows are sorted into lists by their nearest centroid, and a search looks only into the lists of the centroids nearest to
its query (Sivic and Zisserman, https://www.robots.ox.ac.uk/~vgg/publications/2003/Sivic03/sivic03.pdf). There it reads
codes of four bits for every two numbers of a vector's distance to its centroid (Jégou et al.,
https://inria.hal.science/inria-00514462), from tables that stay in registers (André et al., "Quicker ADC",
https://arxiv.org/abs/1812.09162). What looks nearest by its code is a candidate, which the index compares exactly.

Lists never change: `extended` makes others that cover more rows.
"""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
from faiss import swig_ptr
from numpy.typing import NDArray

from app.records.record import Vector, Vectors

_ROUNDS = 4
_OF_EACH_CENTROID = 32
"""Vectors that the centroids are learned from, for each of them."""
_FOR_CODES = 20_000
"""Vectors that the codes are learned from."""
_BATCH = 65_536
_FEWEST_CANDIDATES = 4
"""For each result."""
_FEWEST_CHOSEN = 100_000
_SHARE_OF_CHOSEN = 0.25
"""Rows that are looked at, of those that a filter lets through: a millisecond or two, less than the filter takes."""
_MORE_OF_CHOSEN = 4
"""Times as many candidates among them."""

_NUMBERS_A_CODE = 2
_SECONDS_A_SEARCH = 1e-4
_SECONDS_A_CODE = 5e-11
"""Of four bits. With the two below: measured on two cores of an AMD EPYC (Zen 4); only their ratios matter."""
_SECONDS_A_CANDIDATE = 7e-10
"""For each number of its vector, which is fetched from anywhere in memory."""
_SECONDS_EXACT = 3e-10
"""For each number of a vector, where all are compared in their order."""


class Stopped(Exception):
    """The service ends; there is no need for what was being made."""


def go_on_unless(stop: threading.Event) -> None:
    """Raises Stopped if it is set."""
    if stop.is_set():
        raise Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Over the rows from 0 to `covered`. Any number of threads may search."""

    ivf: Any
    """faiss.IndexIVFPQFastScan; its ids are numbers of rows."""
    list_of: NDArray[np.int32]
    """(covered,), the list of each row."""
    trained_on: int
    """Rows, when the centroids were learned."""
    probes: int = 1
    """Lists that a search looks into."""
    candidates: int = 100
    """That it compares exactly."""
    recall: float = 0.0
    """The share of the ten nearest that is found, as it was measured."""
    measured_on: int = 0
    """Rows, when that was."""
    measured_with: int = 0
    """Queries that were asked before, the most of them that ever were known; with fewer, no less is looked at."""
    probes_at_first: int = 0
    """As measured when the centroids were new; more of them later mean that these no longer fit."""

    @property
    def covered(self) -> int:
        return len(self.list_of)

    @property
    def count(self) -> int:
        """How many lists."""
        return int(self.ivf.nlist)

    def extended(self, vectors: Vectors, stop: threading.Event) -> Lists:
        """Lists that cover some more rows (n, dim) behind those of these. Raises Stopped."""
        ivf = faiss.clone_index(self.ivf)
        _add(ivf, vectors, stop)
        return replace(self, ivf=ivf, list_of=_lists_of_rows(ivf))

    def candidates_for(self, limit: int) -> tuple[int, int]:
        """(candidates, probes) where so many results are wanted. In steps, so that most pages are cut from the same."""
        steps = max(0, math.ceil(math.log2(_FEWEST_CANDIDATES * limit / self.candidates)))
        return self.candidates << steps, min(self.probes << steps, self.count)

    def nearest(
        self, query: Vector, limit: int, bits: NDArray[np.uint8] | None, by_list: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """Candidates for the `limit` rows nearest to a query (dim,), in no order; among those of the bits, if given.

        `by_list` (lists,) says how many rows of the bits each list has. Those without any are passed over. Of the bits
        at least as many rows are looked at as a search for any row looks at, and more: what a filter lets through may
        lie anywhere but near to the query, and no measure of recall speaks of it.
        """
        candidates, probes = self.candidates_for(limit)
        if by_list is not None:
            candidates *= _MORE_OF_CHOSEN
        rows, scores = np.empty(candidates, np.int64), np.empty(candidates, np.float32)
        asked, place = (1, swig_ptr(query), candidates), (swig_ptr(scores), swig_ptr(rows))
        # Both as they are in C++. For Python the first checks for microseconds, and the second takes no selector.
        if by_list is None:
            self.ivf.search_c(*asked, *place, _parameters(probes, bits))
        else:
            nearness, order = self._worth_looking(query[np.newaxis], probes, by_list)
            if not order.size:
                return np.empty(0, np.int64)
            lists = (swig_ptr(order), swig_ptr(nearness))
            self.ivf.search_preassigned_c(*asked, *lists, *place, False, _parameters(order.shape[1], bits))
        found: NDArray[np.int64] = rows if rows[-1] >= 0 else rows[rows >= 0]  # what is missing stands at the end
        return found

    def ranked(
        self, queries: Vectors, candidates: int, probes: int, bits: NDArray[np.uint8] | None
    ) -> NDArray[np.int64]:
        """(n, candidates), rows that look nearest to queries (n, dim), best first; -1 where there are no more."""
        rows: NDArray[np.int64] = self.ivf.search(queries, candidates, params=_parameters(probes, bits))[1]
        return rows

    def _worth_looking(
        self, queries: Vectors, probes: int, by_list: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest lists that have any: nearness and number, (1, n) each."""
        nearness, order = self.ivf.quantizer.search(queries, self.count)
        counts = by_list[order[0]]
        some = counts > 0
        seen = np.cumsum(counts[some])
        rows = max(probes * self.covered / self.count, _FEWEST_CHOSEN, seen[-1] * _SHARE_OF_CHOSEN if len(seen) else 0)
        enough = int(np.searchsorted(seen, rows)) + 1
        return (
            np.ascontiguousarray(nearness[:, some][:, :enough]),
            np.ascontiguousarray(order[:, some][:, :enough]),
        )

    def seconds(self, probes: int, candidates: int) -> float:
        """About what a search takes; for comparing, not for telling."""
        dim = int(self.ivf.d)
        codes: float = self.covered * probes / self.count * int(self.ivf.pq.M)
        return _SECONDS_A_SEARCH + codes * _SECONDS_A_CODE + candidates * dim * _SECONDS_A_CANDIDATE

    def seconds_exact(self) -> float:
        """The same of a comparison with every row."""
        return float(self.covered * self.ivf.d * _SECONDS_EXACT)


def trained(vectors: Vectors, stop: threading.Event) -> Lists:
    """Lists over rows (n, dim), which have to be a few dozen at least. Raises Stopped."""
    count, dim = vectors.shape
    lists = 1 << max(1, round(np.log2(np.sqrt(count))))
    lists = min(lists, count // 2)
    some = vectors[np.linspace(0, count - 1, min(count, lists * _OF_EACH_CENTROID)).astype(np.int64)]
    centroids: Any = None
    for _ in range(_ROUNDS):
        go_on_unless(stop)
        means = faiss.Kmeans(dim, lists, niter=1, spherical=True, min_points_per_centroid=1, seed=1)
        means.cp.max_points_per_centroid = _OF_EACH_CENTROID
        means.train(some, init_centroids=centroids)
        centroids = means.centroids
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(centroids)
    codes = dim // _NUMBERS_A_CODE if dim % _NUMBERS_A_CODE == 0 else dim
    ivf = faiss.IndexIVFPQFastScan(quantizer, dim, lists, codes, 4, faiss.METRIC_INNER_PRODUCT, 32)
    ivf.by_residual = True
    ivf.pq.cp.min_points_per_centroid = 1
    ivf.train(some[np.linspace(0, len(some) - 1, min(len(some), _FOR_CODES)).astype(np.int64)])
    _add(ivf, vectors, stop)
    return Lists(ivf=ivf, list_of=_lists_of_rows(ivf), trained_on=count)


def _parameters(probes: int, bits: NDArray[np.uint8] | None) -> Any:
    if bits is None:
        return _unfiltered(probes)
    make: Any = faiss.SearchParametersIVF
    return make(nprobe=probes, sel=faiss.IDSelectorBitmap(len(bits), swig_ptr(bits)))


@functools.cache
def _unfiltered(probes: int) -> Any:
    """The same for all searches: making it takes longer than a tenth of one."""
    make: Any = faiss.SearchParametersIVF
    return make(nprobe=probes)


def _add(ivf: Any, vectors: Vectors, stop: threading.Event) -> None:
    for start in range(0, len(vectors), _BATCH):
        go_on_unless(stop)
        ivf.add(np.ascontiguousarray(vectors[start : start + _BATCH]))


def _lists_of_rows(ivf: Any) -> NDArray[np.int32]:
    lists = np.empty(ivf.ntotal, np.int32)
    for number in range(ivf.nlist):
        if size := ivf.invlists.list_size(number):
            lists[faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size)] = number
    return lists


def packed(lists: Lists) -> NDArray[np.uint8]:
    """The lists without what was measured, for a file."""
    data: NDArray[np.uint8] = faiss.serialize_index(lists.ivf)
    return data


def unpacked(data: NDArray[np.uint8], **measured: Any) -> Lists:
    """Lists from a file that is known to be sound. Raises ValueError if they are of another kind."""
    try:
        ivf = faiss.deserialize_index(data)
    except RuntimeError as error:
        raise ValueError("they are no lists") from error
    if not isinstance(ivf, faiss.IndexIVFPQFastScan):
        raise ValueError(f"they are {type(ivf).__name__}")
    return Lists(ivf=ivf, list_of=_lists_of_rows(ivf), **measured)
