"""The comparison of indexes is fair: each peer at its least effort, ours beside the best of them by each measure."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.index import OURS, TARGET, ratios, refine


class Graph:
    """An index that finds enough from some effort on."""

    name = "hnswlib"

    def __init__(self, enough: int) -> None:
        self.enough = enough
        self.asked: list[int] = []

    def ask(self, **order: Any) -> dict[str, Any]:
        self.asked.append(order["effort"])
        return {"recall": TARGET if order["effort"] >= self.enough else TARGET - 0.01, "seconds": [0.1, 0.2, 0.3]}


@pytest.mark.parametrize("enough", [129, 140, 200, 255, 256])
def test_no_peer_is_charged_more_than_an_eighth_of_needless_effort(enough: int) -> None:
    side = Graph(enough)
    points = [{"effort": effort, "recall": TARGET if effort >= enough else 0.5} for effort in (64, 128, 256)]
    refine(side, points)  # type: ignore[arg-type]  # all that it asks of a side
    efforts = [point["effort"] for point in points]
    assert efforts == sorted(efforts)
    least = min(point["effort"] for point in points if point["recall"] >= TARGET)
    assert enough <= least < enough * 8 / 7
    assert len(side.asked) <= 3


def test_where_the_target_is_not_reached_nothing_is_looked_for() -> None:
    side = Graph(10_000)
    refine(side, [{"effort": 2048, "recall": 0.4}, {"effort": 4096, "recall": 0.5}])  # type: ignore[arg-type]
    assert side.asked == []


def test_ours_stands_beside_the_best_of_those_that_find_enough_measure_by_measure() -> None:
    result = {
        "at_target": {
            OURS: {"queries_per_second": 100.0},
            "faiss_hnsw32": None,
            "hnswlib": {"queries_per_second": 50.0},
            "usearch": {"queries_per_second": 20.0},
        },
        "memory_bytes": {
            OURS: {"Anon": 10},
            "faiss_hnsw32": {"Anon": 11},
            "hnswlib": {"Anon": 100},
            "usearch": {"Anon": 40},
        },
        "built_in_s": {OURS: 1.0, "faiss_hnsw32": 1.5, "hnswlib": 8.0, "usearch": 16.0},
    }
    assert ratios(result) == {
        "peers": ["hnswlib", "usearch"],
        "queries_per_second": 2.0,
        "memory": 0.25,
        "build": 0.125,
    }
    result["at_target"] |= {"hnswlib": None, "usearch": None}
    assert ratios(result)["queries_per_second"] is None
