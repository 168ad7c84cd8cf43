"""A recall that is reported is the recall there is."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation import metrics
from training.evaluation.metrics import first_ranks, retrieve, summary


def brute_force(queries, gallery, wanted, owners) -> list[tuple[int, float, float, float]]:
    """Rank, average precision at ten, best cosine with a match, best with anything else, of each query."""
    found = []
    for query, concept in zip(queries, wanted, strict=True):
        scored = [(float(query @ picture), owner == concept) for picture, owner in zip(gallery, owners, strict=True)]
        scored.sort(key=lambda pair: (-pair[0], pair[1]))  # of equals, what does not match comes first
        places = [place for place, (_, match) in enumerate(scored, 1) if match]
        precisions = [count / place for count, place in enumerate(places, 1) if place <= 10]
        best, other = (max([s for s, match in scored if match is kind], default=-1.0) for kind in (True, False))
        found.append((places[0], sum(precisions) / min(10, len(places)), best, max(other, -1.0)))
    return found


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**31), st.integers(1, 200))
def test_what_is_found_equals_brute_force_in_any_chunks(n, m, concepts, seed, cells):
    rng = np.random.default_rng(seed)
    # whole numbers, so that sums are exact in any order and ties are many
    gallery = rng.integers(-2, 3, (m, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    owners = [str(c) for c in rng.integers(0, concepts, m)]
    wanted = [owners[i] for i in rng.integers(0, m, n)]
    before, metrics._CELLS = metrics._CELLS, cells
    try:
        found = retrieve(queries, gallery, wanted, owners)
        ranks = first_ranks(queries, gallery, wanted, owners)
    finally:
        metrics._CELLS = before
    expected = brute_force(queries, gallery, wanted, owners)
    assert ranks.tolist() == found.ranks.tolist() == [rank for rank, *_ in expected]
    np.testing.assert_allclose(found.precisions, [precision for _, precision, *_ in expected])
    assert found.match.tolist() == [best for *_, best, _ in expected]
    assert found.other.tolist() == [other for *_, other in expected]


def test_the_full_matrix_of_scores_is_never_held():
    """The scores of 1,000 queries among 20,000 pictures, and what is made of them, would take 260 MB."""
    vectors = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    concepts = [str(number) for number in range(20_000)]
    tracemalloc.start()
    try:
        first_ranks(vectors[:1000], vectors, concepts[:1000], concepts)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 120e6, "one chunk's, however many queries there are"


def test_products_that_are_rounded_differently_are_ties():
    """A collapsed model's vectors differ by roundings alone; whatever order these make, nothing was found."""
    rng = np.random.default_rng(0)
    same = np.full((50, 16), 0.25, dtype=np.float32) + rng.normal(scale=1e-8, size=(50, 16)).astype(np.float32)
    concepts = [str(number) for number in range(50)]
    assert first_ranks(same, same, concepts, concepts).tolist() == [50] * 50


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


def test_a_model_that_gives_no_numbers_scores_nothing():
    vectors = np.full((20, 4), np.nan, dtype=np.float32)
    names = [str(number) for number in range(20)]
    assert first_ranks(vectors, vectors, names, names).tolist() == [20] * 20


def test_a_query_without_a_match_is_an_error():
    with pytest.raises(ValueError, match="1 query concepts have no picture in the gallery, 'b'"):
        first_ranks(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), ["b"], ["a"])
