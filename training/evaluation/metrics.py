"""Retrieval metrics over unit vectors, in chunks, so that the full matrix of scores is never built."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RANKS = (1, 5, 10)
_DEPTH = 10
"""Of the average precision."""
_CELLS = 1 << 22
"""Scores held at a time: with what is made of them, some 60 MB."""
_TIE = 1e-6
"""Cosines that differ by less are equal: float32 rounds the same product differently at different places."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What n queries found: rank, from 1, of the best-placed match, average precision among the first ten (n,).

    `match` and `other` (n,) are the highest cosines with a match and with anything else, -1 where nothing else is.
    """

    ranks: NDArray[np.int64]
    precisions: NDArray[np.float64]
    match: NDArray[np.float32]
    other: NDArray[np.float32]

    def of(self, rows: NDArray[np.bool_]) -> "Retrieval":
        """The same of some of the queries: those where rows (n,) is True."""
        return Retrieval(self.ranks[rows], self.precisions[rows], self.match[rows], self.other[rows])


def retrieve(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_concepts: Sequence[str],
    gallery_concepts: Sequence[str],
) -> Retrieval:
    """Look for each query's concept in the gallery: `queries` (n, dim) and `gallery` (m, dim) are unit vectors.

    Ties count against the query. A query without any match in the gallery is an error: no rank would be right. The
    average precision is that of Manning et al. 2008 ("Introduction to Information Retrieval", 8.4), cut off at ten.
    """
    wanted, owners = _numbered(query_concepts, gallery_concepts)
    totals = np.bincount(owners)[wanted]
    n, rows = len(queries), max(1, _CELLS // max(1, len(gallery)))
    ranks, precisions = np.empty(n, dtype=np.int64), np.empty(n)
    match, other = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    for start in range(0, n, rows):
        chunk = slice(start, start + rows)
        scores = queries[chunk] @ gallery.T  # (chunk, m)
        matches = owners == wanted[chunk, None]
        others = np.where(matches, np.float32(-np.inf), scores)
        scores[~matches] = -np.inf
        best = scores.max(axis=1, keepdims=True)
        ranks[chunk] = 1 + (~(others < best - _TIE) & ~matches).sum(axis=1)  # NaN is ahead of nothing
        precisions[chunk] = _average_precision(_highest(scores), _highest(others), totals[chunk])
        match[chunk], other[chunk] = best[:, 0], np.maximum(others.max(axis=1), -1)
    return Retrieval(ranks, precisions, match, other)


def first_ranks(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_concepts: Sequence[str],
    gallery_concepts: Sequence[str],
) -> NDArray[np.int64]:
    """Rank, from 1, of the best-placed gallery vector of each query's concept; arguments are those of `retrieve`."""
    return retrieve(queries, gallery, query_concepts, gallery_concepts).ranks


def summary(ranks: NDArray[np.int64]) -> dict[str, float]:
    """R@1, R@5, R@10, mean and median rank of a set of queries."""
    recalls = {f"R@{k}": float((ranks <= k).mean()) for k in RANKS}
    return {**recalls, "mean_rank": float(ranks.mean()), "median_rank": float(np.median(ranks)), "queries": len(ranks)}


def _numbered(wanted: Sequence[str], owners: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Concepts as numbers, which compare faster."""
    known = {concept: number for number, concept in enumerate(dict.fromkeys(owners))}
    missing = sorted(set(wanted) - known.keys())
    if missing:
        raise ValueError(f"{len(missing)} query concepts have no picture in the gallery, {missing[0]!r} for one")
    numbers = (np.array([known[concept] for concept in concepts], dtype=np.int32) for concepts in (wanted, owners))
    return next(numbers), next(numbers)


def _highest(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest ten of each row (n, m), highest first: (n, 10), filled up with -inf."""
    depth = min(_DEPTH, scores.shape[1])
    top = np.full((len(scores), _DEPTH), -np.inf, dtype=np.float32)
    top[:, :depth] = np.partition(scores, scores.shape[1] - depth, axis=1)[:, -depth:]
    return -np.sort(-top, axis=1)


def _average_precision(
    matches: NDArray[np.float32], others: NDArray[np.float32], totals: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of the highest cosines with matches and with others, each (n, 10); `totals` (n,) matches there are to find."""
    ahead = (others[:, None, :] >= matches[:, :, None] - _TIE).sum(axis=2)  # (n, 10)
    order = np.arange(1, _DEPTH + 1)
    places = order + ahead
    found = np.isfinite(matches) & (places <= _DEPTH)
    summed: NDArray[np.float64] = np.where(found, order / places, 0).sum(axis=1)
    return summed / np.minimum(totals, _DEPTH)
