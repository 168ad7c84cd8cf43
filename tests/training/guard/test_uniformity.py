"""The measures of a collapse say what a double loop says."""

import math

import pytest
import torch
from torch.nn import functional

from training.guard.uniformity import uniformity, variance


@pytest.mark.parametrize("rows", [2, 7, 40])
def test_uniformity_is_that_of_a_double_loop(rows):
    vectors = functional.normalize(torch.randn(rows, 5, generator=torch.Generator().manual_seed(rows)), dim=1)
    pairs = [(a, b) for number, a in enumerate(vectors) for b in vectors[:number]]
    expected = math.log(sum(math.exp(-2 * float((a - b).square().sum())) for a, b in pairs) / len(pairs))
    assert uniformity(vectors).item() == pytest.approx(expected, abs=1e-5)
    spread = sum(float((a - vectors.mean(dim=0)).square().sum()) for a in vectors) / rows
    assert variance(vectors).item() == pytest.approx(spread, abs=1e-6)


def test_a_point_is_zero():
    point = functional.normalize(torch.ones(8, 4), dim=1)
    assert uniformity(point).item() == pytest.approx(0, abs=1e-5)
    assert variance(point).item() == pytest.approx(0, abs=1e-5)
