"""An interval is as wide as the queries make it, and the same every time."""

import numpy as np
import pytest

from training.evaluation import bootstrap
from training.evaluation.bootstrap import interval, intervals, median
from training.evaluation.metrics import Retrieval


def resampled(values: np.ndarray, statistic, resamples: int = 6000) -> tuple[float, float]:
    """Queries drawn one by one, as the textbook has it."""
    rng = np.random.default_rng(1)
    found = [statistic(rng.choice(values, len(values))) for _ in range(resamples)]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize("n", [30, 31])
def test_counts_that_are_drawn_say_what_queries_that_are_drawn_say(n):
    ranks = np.random.default_rng(0).geometric(0.1, n)
    assert interval(ranks) == pytest.approx(resampled(ranks, np.mean), abs=0.05 * ranks.std())
    assert interval(ranks, median) == pytest.approx(resampled(ranks, np.median), abs=1)
    assert interval(ranks <= 10) == pytest.approx(resampled(ranks <= 10, np.mean), abs=1.01 / n)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_median_of_counts_is_the_median(n):
    values = np.arange(4.0)
    counts = np.random.default_rng(n).multinomial(n, [0.25] * 4, size=50)
    assert median(values, counts).tolist() == [np.median(np.repeat(values, row)) for row in counts]


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    bounds = [interval(rng.random(200) < 0.3) for _ in range(200)]
    assert 0.90 < np.mean([low <= 0.3 <= high for low, high in bounds]) <= 0.99


def test_chunks_change_nothing_but_the_draw_and_the_seed_is_fixed(monkeypatch):
    values = np.random.default_rng(0).normal(size=300)
    whole = interval(values)
    assert interval(values) == whole
    monkeypatch.setattr(bootstrap, "_CELLS", 3000)
    assert interval(values) == pytest.approx(whole, abs=0.02)


def test_every_number_that_is_reported_has_one():
    found = Retrieval(np.array([1, 2, 30]), np.array([1, 0.5, 0]), np.zeros(3, np.float32), np.zeros(3, np.float32))
    assert set(intervals(found)) == {"R@1", "R@5", "R@10", "mean_rank", "median_rank", "MAP@10"}
    assert intervals(found)["mean_rank"][0] >= 1
