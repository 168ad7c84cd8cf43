"""A recall that is reported is the recall there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import metrics
from training.metrics import first_ranks, summary


def brute_force(queries, gallery, wanted, owners) -> list[int]:
    ranks = []
    for query, concept in zip(queries, wanted, strict=True):
        scores = [float(np.float32(query @ picture)) for picture in gallery]
        best = max(score for score, owner in zip(scores, owners, strict=True) if owner == concept)
        ranks.append(1 + sum(s >= best for s, owner in zip(scores, owners, strict=True) if owner != concept))
    return ranks


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 5), st.integers(0, 2**31), st.integers(1, 4))
def test_ranks_equal_brute_force_in_any_chunks(n, m, concepts, seed, chunk):
    rng = np.random.default_rng(seed)
    # whole numbers, so that sums are exact in any order and ties are many
    gallery = rng.integers(-2, 3, (m, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    owners = [str(c) for c in rng.integers(0, concepts, m)]
    wanted = [owners[i] for i in rng.integers(0, m, n)]
    before, metrics._CHUNK = metrics._CHUNK, chunk
    try:
        ranks = first_ranks(queries, gallery, wanted, owners)
    finally:
        metrics._CHUNK = before
    assert ranks.tolist() == brute_force(queries, gallery, wanted, owners)


def test_summary_by_hand():
    said = summary(np.array([1, 1, 4, 10, 11, 100]))
    assert said["R@1"] == pytest.approx(2 / 6)
    assert said["R@5"] == pytest.approx(3 / 6)
    assert said["R@10"] == pytest.approx(4 / 6)
    assert (said["median_rank"], said["queries"]) == (7.0, 6)


def test_a_model_that_cannot_tell_scores_nothing():
    """Equal vectors for everything are ties, and ties count against the query."""
    same = np.ones((20, 2), dtype=np.float32)
    concepts = [str(i) for i in range(20)]
    assert summary(first_ranks(same, same, concepts, concepts))["R@10"] == 0


def test_a_query_without_a_match_is_an_error():
    with pytest.raises(ValueError, match="1 query concepts have no picture in the gallery, 'b'"):
        first_ranks(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), ["b"], ["a"])
