"""One cutoff works across queries: relevance says how far a picture stands out, whatever the query's cosines are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.relevance import Cosines, Kind, Probabilities, Uncalibrated, calibration_of
from app.settings import Settings
from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain
from tests.app.running import add, opened

CLIP = Uncalibrated(logit_scale=100, logit_bias=0)
SIGLIP = Uncalibrated(logit_scale=110, logit_bias=-12)
COSINES = st.lists(st.floats(-1, 1, width=32), max_size=40).map(lambda values: np.array(values, np.float32))


@given(cosines=COSINES, background=COSINES, kind=st.sampled_from(["text", "image"]))
def test_relevance_is_between_0_and_1_and_never_falls_while_the_cosine_grows(
    cosines: NDArray[np.float32], background: NDArray[np.float32], kind: Kind
) -> None:
    for judge in (CLIP, SIGLIP, Uncalibrated(0, 0)):
        relevances = judge.probability(kind, np.sort(cosines), background)
        assert relevances.shape == cosines.shape
        assert ((relevances >= 0) & (relevances <= 1)).all()
        assert (np.diff(relevances) >= 0).all()


def collection(centre: float, spread: float, count: int = 1000) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(centre, spread, count).astype(np.float32)


@pytest.mark.parametrize(("centre", "spread"), [(0.10, 0.03), (0.20, 0.02), (0.25, 0.03)])
def test_the_same_cutoff_tells_matches_apart_for_queries_of_different_cosines(centre: float, spread: float) -> None:
    """0.3 stands out for a query whose other cosines are about 0.1; for another one, 0.3 is nothing."""
    background = collection(centre, spread)
    match, other = np.float32(centre + 5 * spread), np.float32(centre + spread)
    relevances = CLIP.probability("text", np.array([match, other], np.float32), background)
    assert relevances[0] > 0.9
    assert relevances[1] < 0.1
    assert (CLIP.probability("text", background, background) > 0.5).mean() < 0.01


def test_many_relevant_pictures_do_not_hide_each_other() -> None:
    background = np.concatenate([collection(0.18, 0.025, 700), collection(0.30, 0.01, 300)])
    assert (CLIP.probability("text", background[700:], background) > 0.5).mean() > 0.9


def test_a_few_pictures_are_judged_by_what_is_usual_for_models() -> None:
    """In a gallery of five pictures of cats, all of them are relevant to "cat"."""
    for count in (1, 2, 5):
        cats = np.full(count, 0.31, np.float32)
        assert (CLIP.probability("text", cats, cats) > 0.5).all()
        cars = np.full(count, 0.17, np.float32)
        assert (CLIP.probability("text", cars, cars) < 0.1).all()


def test_the_only_match_among_three_pictures_stands_out() -> None:
    scores = np.array([0.31, 0.16, 0.14], np.float32)
    assert ((CLIP.probability("text", scores, scores) > 0.5) == [True, False, False]).all()
    scores = np.array([0.31, 0.31, 0.14], np.float32)
    assert ((CLIP.probability("text", scores, scores) > 0.5) == [True, True, False]).all()


def test_pictures_are_nearer_to_pictures_than_to_words() -> None:
    alone = np.array([0.6], np.float32)
    assert CLIP.probability("text", alone, alone)[0] > 0.9
    assert CLIP.probability("image", alone, alone)[0] < 0.1
    same = np.array([1.0], np.float32)
    assert CLIP.probability("image", same, same)[0] > 0.7


def test_a_model_trained_with_sigmoids_says_itself_what_matches() -> None:
    match, other = np.array([0.13], np.float32), np.array([0.05], np.float32)
    nothing = np.empty(0, np.float32)
    assert SIGLIP.probability("text", match, nothing)[0] > 0.5
    assert SIGLIP.probability("text", other, nothing)[0] < 0.1


class Calibrated(ColourEncoder):
    """A model whose folder brings a calibration; it notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        self.calibration = self

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines) -> Probabilities:
        self.asked.append((kind, len(cosines), len(background)))
        return np.full(len(cosines), 0.25)


def test_the_calibration_of_the_model_folder_comes_first(settings: Settings) -> None:
    encoder = Calibrated()
    assert calibration_of(encoder) is encoder
    assert isinstance(calibration_of(ColourEncoder()), Uncalibrated)
    with opened(settings, encoder) as client:
        for colour in ("red", "green", "blue"):
            add(client, plain(colour), name=colour)
        (first, _) = client.get("/v1/search?q=red&limit=2").json()["results"]
        assert first["relevance"] == 0.25
        query = [{"text": "red"}, {"image": {"id": "blue"}, "weight": -1}]
        client.post("/v1/search", json={"query": query, "limit": 1})
        client.post("/v1/search", json={"query": [query[0], query[0]], "limit": 1})
        assert encoder.asked == [("text", 2, 3), ("image", 1, 3), ("text", 1, 3)]
        assert client.get("/v1/search?q=red&min_relevance=0.3").json()["results"] == []
