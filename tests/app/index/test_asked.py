"""Of the queries that are asked, the latest different ones are known."""

from __future__ import annotations

import numpy as np

from app.index.asked import Asked


def test_what_is_asked_again_counts_once_and_is_what_was_asked_last() -> None:
    asked = Asked(2, 3)
    assert asked.vectors().shape == (0, 2)
    for number in (1, 2, 3, 1, 1, 1, 4):
        asked.add(np.full(2, number, np.float32))
        assert len(asked) == len(asked.vectors())
    assert asked.vectors().tolist() == [[3, 3], [1, 1], [4, 4]]
