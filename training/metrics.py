"""Retrieval metrics over unit vectors, in chunks, so that the full matrix of scores is never built."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RANKS = (1, 5, 10)
_CHUNK = 1024


def first_ranks(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_concepts: Sequence[str],
    gallery_concepts: Sequence[str],
) -> NDArray[np.int64]:
    """Rank, from 1, of the best-placed gallery vector of each query's concept.

    `queries` (n, dim) and `gallery` (m, dim) are unit vectors; ties count against the query. A query without any match
    in the gallery is an error: no rank would be right.
    """
    known = {concept: number for number, concept in enumerate(dict.fromkeys(gallery_concepts))}
    missing = sorted(set(query_concepts) - known.keys())
    if missing:
        raise ValueError(f"{len(missing)} query concepts have no picture in the gallery, {missing[0]!r} for one")
    wanted = np.array([known[concept] for concept in query_concepts])
    owners = np.array([known[concept] for concept in gallery_concepts])
    ranks = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        scores = queries[chunk] @ gallery.T  # (chunk, m)
        matches = owners == wanted[chunk, None]
        best = np.where(matches, scores, -np.inf).max(axis=1, keepdims=True)
        ranks[chunk] = 1 + ((scores >= best) & ~matches).sum(axis=1)
    return ranks


def summary(ranks: NDArray[np.int64]) -> dict[str, float]:
    """R@1, R@5, R@10, mean and median rank of a set of queries."""
    recalls = {f"R@{k}": float((ranks <= k).mean()) for k in RANKS}
    return {**recalls, "mean_rank": float(ranks.mean()), "median_rank": float(np.median(ranks)), "queries": len(ranks)}
