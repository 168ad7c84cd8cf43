"""The recall of inverted lists, measured against the comparison with every vector, and what they need to meet a target.

Queries are vectors of the collection, each of which must find its neighbours without itself, and the latest queries
that were really asked, which may lie elsewhere (words lie apart from pictures). Of both kinds the worse one counts. One
half of them chooses how far to look; the other half says how good that is.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import faiss
import numpy as np
from numpy.typing import NDArray

from app.index.exact import Index
from app.index.lists import Lists, go_on_unless
from app.records.record import Vectors

NEAREST = 10
"""Results that recall is about."""
_QUERIES = 192
"""Of each kind, at most."""
FEWEST_ASKED, MOST_ASKED = 16, 2 * _QUERIES
"""Different queries that were asked: fewer say nothing, and more are not needed."""
_BATCH = 16_384
_EQUAL = 1e-6
_STEPS = (40, 56, 80, 112, 160, 224, 320, 448, 640, 896, 1280, 1792, 2560)
_MORE_STEPS = (*_STEPS, 3584, 5120, 7168, 10_240)
"""Candidates to choose from; the larger ones only if these are not enough."""
_MORE_TIME = 1.3
"""Times the time of a choice that turned out too weak, for the next one: few queries do not tell the good from the
lucky."""
_WORTH = 0.5
"""Of the time of an exact search: lists that take more are not worth their errors."""

Curves = dict[int, NDArray[np.float64]]
"""Probes → recall by step of candidates."""


@dataclass(frozen=True, slots=True)
class _Queries:
    vectors: Vectors
    own: NDArray[np.int64]
    """(n,), rows that are not to be found: themselves; -1 for none."""
    least: NDArray[np.float32]
    """(n,), cosines of the last one of the nearest."""

    def half(self, number: int) -> _Queries:
        return _Queries(self.vectors[number::2], self.own[number::2], self.least[number::2])


def measured(index: Index, lists: Lists, asked: Vectors, target: float, stop: threading.Event) -> Lists | None:
    """Lists that look as far as the target recall takes, and say what it is; None if they are not worth it.

    `asked` (n, dim) are queries of the past. This reads every vector once. Raises Stopped.
    """
    asked = asked[-MOST_ASKED:] if len(asked) >= FEWEST_ASKED else asked[:0]
    kinds = [_of_collection(index, lists, stop), *([_those(index, lists, asked, stop)] if len(asked) else [])]
    known = len(asked) <= lists.measured_with  # otherwise it is what is asked that may take more probes
    at_first = lists.probes_at_first if known else 0
    # After a restart nothing is known of what is asked; what it took then is not given up for what pictures take.
    least = lists.seconds(lists.probes, lists.candidates) if len(asked) < lists.measured_with else 0.0
    for steps in (_STEPS, _MORE_STEPS):
        curves = _curves(index, lists, [kind.half(0) for kind in kinds], steps, stop)
        for seconds, probes, candidates in _ways(lists, curves, steps, target + (1 - target) / 4):
            if seconds < least:
                continue
            if seconds > _WORTH * lists.seconds_exact():
                return None
            tuned = replace(
                lists,
                probes=probes,
                candidates=candidates,
                measured_on=lists.covered,
                measured_with=max(len(asked), lists.measured_with),
            )
            recall = min(_recall(index, tuned, kind.half(1), stop) for kind in kinds)
            if recall >= target:
                return replace(tuned, recall=recall, probes_at_first=at_first or probes)
            least = _MORE_TIME * seconds
    return None


def _of_collection(index: Index, lists: Lists, stop: threading.Event) -> _Queries:
    rows, _, valid = index.rows
    here = np.arange(lists.covered) if valid is None else np.flatnonzero(valid[: lists.covered])
    own = here[np.linspace(0, len(here) - 1, min(2 * _QUERIES, len(here))).astype(np.int64)]
    return _compared(index, lists, rows.vectors[own], own, stop)


def _those(index: Index, lists: Lists, asked: Vectors, stop: threading.Event) -> _Queries:
    return _compared(index, lists, asked, np.full(len(asked), -1), stop)


def _compared(index: Index, lists: Lists, queries: Vectors, own: NDArray[np.int64], stop: threading.Event) -> _Queries:
    """With every vector that the lists cover, in blocks. Later ones are no matter of the lists: none is missed."""
    (rows, _, valid), count = index.rows, lists.covered
    best = np.full((len(queries), NEAREST), -np.inf, np.float32)
    for start in range(0, count, _BATCH):
        go_on_unless(stop)
        end = min(start + _BATCH, count)
        block = rows.vectors[start:end] if valid is None else rows.vectors[start:end][valid[start:end]]
        if not len(block):
            continue
        there = np.arange(start, end) if valid is None else start + np.flatnonzero(valid[start:end])
        scores, found = faiss.knn(queries, block, min(NEAREST + 1, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        scores[there[found] == own[:, np.newaxis]] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = -np.partition(-both, NEAREST - 1, axis=1)[:, :NEAREST]
    rows.release()
    return _Queries(queries, own, best.min(axis=1))


def _found(index: Index, queries: _Queries, candidates: NDArray[np.int64], stop: threading.Event) -> NDArray[np.bool_]:
    """(queries, candidates), which of the candidates are among the nearest."""
    vectors = index.rows[0].vectors
    right = np.zeros(candidates.shape, np.bool_)
    for number, some in enumerate(candidates):
        go_on_unless(stop)
        there = np.flatnonzero((some >= 0) & (some != queries.own[number]))
        cosines = vectors[some[there]] @ queries.vectors[number]
        right[number, there] = cosines >= queries.least[number] - _EQUAL
    return right


def _ranked(
    index: Index, lists: Lists, queries: _Queries, probes: int, candidates: int, stop: threading.Event
) -> NDArray[np.float64]:
    """(candidates,), recall by how many of them are compared."""
    rows = lists.ranked(queries.vectors, candidates, probes, index.bits)
    right = np.minimum(np.cumsum(_found(index, queries, rows, stop), axis=1), NEAREST)
    recall: NDArray[np.float64] = right.mean(axis=0) / NEAREST
    return recall


def _recall(index: Index, lists: Lists, queries: _Queries, stop: threading.Event) -> float:
    return float(_ranked(index, lists, queries, lists.probes, lists.candidates, stop)[-1])


def _curves(index: Index, lists: Lists, kinds: list[_Queries], steps: tuple[int, ...], stop: threading.Event) -> Curves:
    """For every number of probes that may be worth it, the recall of the kind that finds least."""
    curves: Curves = {}
    probes, all_found = 1, False
    while True:
        if not all_found:  # otherwise the queries cannot tell what more probes are good for, which others may need
            by_rank = np.min([_ranked(index, lists, kind, probes, steps[-1], stop) for kind in kinds], axis=0)
            all_found = by_rank[-1] == 1
        curves[probes] = by_rank[np.array(steps) - 1]
        if probes == lists.count:
            return curves
        probes = min(2 * probes, lists.count)


def _ways(lists: Lists, curves: Curves, steps: tuple[int, ...], wanted: float) -> list[tuple[float, int, int]]:
    """(seconds, probes, candidates) with which as much is found as is wanted, from the cheapest."""
    return sorted(
        (lists.seconds(probes, step), probes, step)
        for probes, recalls in curves.items()
        for step, recall in zip(steps, recalls.tolist(), strict=True)
        if recall >= wanted
    )
