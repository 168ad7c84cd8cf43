"""A search that was made before costs no model; it still gives the vector of that model and that text, and no other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.inference.lane import Lane
from app.inference.queries import QueryEncoder, Words
from app.inference.remembered import RememberedTexts
from tests.app.dummy import ColourEncoder


def vector(number: float) -> np.ndarray:
    return np.full(3, number, dtype=np.float32)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "y", "z", "b\0x", "\ud800"])), max_size=40))
def test_equals_a_plain_list_of_what_was_used_last(uses):
    """Brute force: a list of (model, text), the last used at the end, cut to the room."""
    remembered, plain = RememberedTexts(room=3), []
    made = {}
    for number, use in enumerate(uses):
        found = remembered.find(*use)
        assert (found is not None) == (use in plain)
        if found is None:
            made[use] = vector(number)
            remembered.keep(*use, made[use])
        else:
            np.testing.assert_array_equal(found, made[use])
            plain.remove(use)
        plain = [*plain, use][-3:]
        assert len(remembered) == len(plain)


def test_nobody_can_change_what_is_remembered():
    remembered, batch = RememberedTexts(room=2), np.ones((4, 3), dtype=np.float32)
    remembered.keep("model", "text", batch[0])
    batch[:] = 7
    found = remembered.find("model", "text")
    np.testing.assert_array_equal(found, vector(1))
    assert found.base is None
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 2


class Counting(ColourEncoder):
    """Tells which texts it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def encode_texts(self, texts):
        if "broken" in texts:
            raise ValueError("broken")
        self.asked += texts
        return super().encode_texts(texts)


def test_the_model_is_asked_once_for_a_text_and_again_after_a_failure():
    encoder = Counting()
    lane = Lane(encoder)
    try:
        queries = QueryEncoder(encoder, lane, row=lambda data: data, kept=dict.__getitem__)
        first = queries.vectors([Words("red")])
        again = queries.vectors([Words("red"), Words("blue")])
        np.testing.assert_array_equal(again, encoder.encode_texts(["red", "blue"]))
        np.testing.assert_array_equal(first[0], again[0])
        assert encoder.asked[:2] == ["red", "blue"]
        for _ in range(2):
            with pytest.raises(Exception, match="failed on this input"):
                queries.vectors([Words("broken")])
        encoder.fingerprint = "another model"
        queries.vectors([Words("red")])
        assert encoder.asked[-1] == "red"
    finally:
        lane.close()
