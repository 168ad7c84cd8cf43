"""Imported models of real size give the vectors of transformers; tests/model holds it for tiny ones."""

import pytest
import transformers

from benchmarks.parity import LARGEST_DIFFERENCE, MODELS, Measure, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_vectors_of_real_size_are_those_of_transformers(name):
    transformers.logging.disable_progress_bar()
    taken = measure(name, MODELS[name])
    assert taken.parameters > 150e6
    assert taken.image_difference <= LARGEST_DIFFERENCE
    assert taken.text_difference <= LARGEST_DIFFERENCE
    assert taken.smallest_distance > 0.1, "eight different inputs"


def test_what_is_too_far_is_not_kept():
    fine = {"name": "", "parameters": 1, "image_difference": 1e-5, "text_difference": 1e-5, "smallest_distance": 1.0}
    assert Measure(**fine).kept
    assert not Measure(**fine | {"image_difference": 1.1e-5}).kept
    assert not Measure(**fine | {"text_difference": 1.1e-5}).kept
