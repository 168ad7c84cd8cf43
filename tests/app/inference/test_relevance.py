"""One cutoff works across queries: how likely a picture is what was asked for is said by its model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.relevance import BACKGROUND, judge_of
from app.settings import Settings
from model.calibration import Cosines, Kind, Uncalibrated
from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain
from tests.app.running import add, opened


class Calibrated(ColourEncoder):
    """A model whose folder brings a calibration; it notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        self.calibration = self

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines, size: int) -> NDArray[np.float64]:
        self.asked.append((kind, len(cosines), len(background), size))
        return np.full(len(cosines), 0.25)


def test_the_calibration_of_the_model_folder_comes_first(settings: Settings) -> None:
    encoder = Calibrated()
    assert judge_of(encoder) is encoder
    with opened(settings, encoder) as client:
        for colour in ("red", "green", "blue"):
            add(client, plain(colour), name=colour)
        (first, _) = client.get("/v1/search?q=red&limit=2").json()["results"]
        assert first["relevance"] == 0.25
        query = [{"text": "red"}, {"image": {"id": "blue"}, "weight": -1}]
        client.post("/v1/search", json={"query": query, "limit": 1})
        client.post("/v1/search", json={"query": [query[0], query[0]], "limit": 1})
        assert encoder.asked == [("text", 2, 3, 3), ("image", 1, 3, 3), ("text", 1, 3, 3)]
        assert client.get("/v1/search?q=red&min_relevance=0.3").json()["results"] == []


def test_a_model_without_one_is_judged_with_caution() -> None:
    assert isinstance(judge_of(ColourEncoder()), Uncalibrated)


def test_a_large_collection_is_sampled_and_its_size_is_told(settings: Settings, monkeypatch: Any) -> None:
    monkeypatch.setattr("app.gallery.gallery.BACKGROUND", 2)
    assert BACKGROUND == 1000
    encoder = Calibrated()
    with opened(settings, encoder) as client:
        for colour in ("red", "green", "blue"):
            add(client, plain(colour), name=colour)
        client.get("/v1/search?q=red&limit=1&offset=1")
    assert encoder.asked == [("text", 1, 2, 3)]
