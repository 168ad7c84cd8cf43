"""Copies of a picture are shown once, and no two different pictures are taken for copies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.records.duplicates import SAME, distinct
from model import Encoder, load
from model.picture import decode
from model.shards import read_shard

ROOT = Path(__file__).parents[3]
ALIKE = (
    ("blue heart", "light blue heart"),
    ("detective", "man detective"),
    ("farmer", "man farmer"),
    ("man pouting", "man frowning"),
    ("woman surfing", "person surfing"),
    ("twelve-thirty", "six o’clock"),
    ("flag: Ireland", "flag: Italy"),
)


def test_the_first_of_those_that_are_the_same_stays() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 0, 2, 1, 0]]
    assert distinct(vectors) == [0, 1, 3]
    assert distinct(vectors[:0]) == []


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load(ROOT / "model/pretrained/pictogram", threads=1)


@pytest.fixture(scope="module")
def drawings() -> dict[str, Image.Image]:
    return {
        sample.caption: decode(sample.picture).image
        for place, sample in enumerate(read_shard(ROOT / "app/demo/twemoji.tar"))
        if place % 25 == 0 or any(sample.caption in pair for pair in ALIKE)
    }


@pytest.mark.parametrize("pair", ALIKE, ids=str)
def test_drawings_that_look_alike_are_not_copies(
    encoder: Encoder, drawings: dict[str, Image.Image], pair: tuple[str, str]
) -> None:
    one, other = encoder.encode_images([drawings[name] for name in pair])
    assert float(one @ other) < SAME


def test_nearly_all_copies_saved_again_are_copies(encoder: Encoder, drawings: dict[str, Image.Image]) -> None:
    def again(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=95)
        return decode(file.getvalue()).image

    whole: NDArray[np.float32] = encoder.encode_images(list(drawings.values()))
    copies = encoder.encode_images([again(image) for image in drawings.values()])
    assert ((whole * copies).sum(axis=1) >= SAME).mean() > 0.9
