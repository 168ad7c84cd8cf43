"""A photograph that is decoded to fewer pixels must be the same photograph to the model, whichever way it lies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from model import load
from model.config import PreprocessConfig
from model.picture import decode
from model.preprocess import preprocess, resize, side_needed
from tests.model.tiny import preprocess as tiny

SAMPLES = sorted((Path(__file__).parents[2] / "model" / "exporting" / "pictures").glob("*.webp"))
SHIPPED = Path(__file__).parents[2] / "model" / "pretrained" / "pictogram"


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft blotches of colour: no detail that a filter could make much of."""
    few = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def rows(data: bytes, config: PreprocessConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the whole picture, and of as much of it as is needed."""
    whole, reduced = decode(data), decode(data, at_least=side_needed(config))
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == whole.image.size
    return preprocess(whole, config), preprocess(reduced, config)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_a_reduced_picture_has_the_row_of_the_whole(mode, kind, orientation):
    """Its sides are no multiples of anything, so that the last pixels of the reduction are parts of pixels."""
    config = tiny(size=32, resize_mode=mode)
    data = saved(photograph(451, 393), kind, orientation)
    assert max(decode(data, at_least=side_needed(config)).image.size) < 120
    whole, reduced = rows(data, config)
    assert np.abs(whole - reduced).max() < 0.12  # of about 4, between black and white


@settings(max_examples=60, deadline=None)
@given(st.integers(60, 900), st.integers(60, 900), st.sampled_from(["crop", "pad", "squash"]), st.integers(1, 8))
def test_of_any_size_and_shape_the_same_part_is_seen(width, height, mode, orientation):
    """A centre that is cut out one pixel beside costs a photograph more than all else that a reduction does."""
    config = tiny(size=24, resize_mode=mode)
    whole, reduced = rows(saved(photograph(width, height), "JPEG", orientation), config)
    assert cosine(whole - whole.mean(), reduced - whole.mean()) > 0.998


def test_a_transparent_picture_is_reduced_with_its_transparency():
    drawing = photograph(600, 400).convert("RGBA")
    drawing.putalpha(Image.radial_gradient("L").resize((600, 400)))
    data = saved(drawing, "PNG")
    reduced = decode(data, at_least=100)
    assert reduced.drawn.mode == "RGBA"
    assert reduced.drawn.size == (150, 100)
    whole = decode(data).image.resize((150, 100), Image.Resampling.BOX)
    difference = np.asarray(reduced.image).astype(int) - np.asarray(whole).astype(int)
    assert np.abs(difference).max() <= 4


def test_a_jpeg_in_grey_and_one_for_printing_are_reduced():
    for mode in ("L", "CMYK"):
        reduced = decode(saved(photograph(640, 480).convert(mode), "JPEG"), at_least=60)
        assert (reduced.image.mode, reduced.image.size, reduced.width) == ("RGB", (80, 60), 640)


def test_a_small_picture_is_left_as_it_is():
    data = saved(photograph(90, 70), "PNG")
    np.testing.assert_array_equal(decode(data, at_least=40).image, decode(data).image)


def test_a_picture_in_memory_and_its_file_have_the_same_square():
    image, config = photograph(300, 200), tiny(size=32, resize_mode="crop")
    np.testing.assert_array_equal(resize(image, config), resize(decode(saved(image, "PNG")), config))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_shipped_model_sees_the_same_in_a_reduced_photograph(path):
    encoder = load(SHIPPED, runtime="torch")
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    data = saved(photo.resize((photo.width * 4, photo.height * 4), Image.Resampling.BICUBIC), "JPEG")
    whole, reduced = decode(data), decode(data, at_least=encoder.side_needed)
    assert reduced.image.width < photo.width
    vectors = encoder.encode_pixels([encoder.preprocess(whole), encoder.preprocess(reduced)])
    assert vectors[0] @ vectors[1] >= 0.999
