"""Bootstrap intervals of what is measured over queries (Efron 1979): how far another such set of queries would agree.

A resample draws n queries with replacement. All that a statistic sees of it is how often each distinct value was drawn,
and those counts are multinomial, so the counts are drawn instead of the queries: the same distribution, far less work.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import RANKS, Retrieval

RESAMPLES = 2000
LEVEL = 0.95
_SEED = 0
_CELLS = 1 << 22

Interval = tuple[float, float]
Statistic = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]
"""Distinct values (u,), in order, and counts (b, u) of each → (b,)."""


def mean(values: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each resample."""
    means: NDArray[np.float64] = counts @ values / counts.sum(axis=1)
    return means


def median(values: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each resample; with an even number of queries the mean of the two in the middle."""
    upto = counts.cumsum(axis=1)
    n = upto[:, -1:]
    lower, upper = (upto > (n - 1) // 2).argmax(axis=1), (upto > n // 2).argmax(axis=1)
    medians: NDArray[np.float64] = (values[lower] + values[upper]) / 2
    return medians


def interval(values: NDArray[np.generic], statistic: Statistic = mean) -> Interval:
    """Where the middle 95 % of the resamples' statistics lie; `values` (n,) are of one query each."""
    distinct, counts = np.unique(values.astype(np.float64), return_counts=True)
    rng = np.random.default_rng(_SEED)
    at_once = max(1, _CELLS // len(distinct))
    found = [
        statistic(distinct, rng.multinomial(len(values), counts / len(values), size=min(at_once, RESAMPLES - start)))
        for start in range(0, RESAMPLES, at_once)
    ]
    low, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def intervals(retrieval: Retrieval) -> Mapping[str, Interval]:
    """Of each number that is reported of a retrieval."""
    ranks = retrieval.ranks
    return {f"R@{k}": interval(ranks <= k) for k in RANKS} | {
        "mean_rank": interval(ranks),
        "median_rank": interval(ranks, median),
        "MAP@10": interval(retrieval.precisions),
    }
