"""A photograph is seen upright, in part, at the model's size, and is the same for the same draw."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.config import PreprocessConfig
from model.errors import PictureError
from model.picture import decode
from training.data.photograph import _part, photograph
from training.data.section import StreamSection

WHOLE = StreamSection(crop_area=(1, 1), crop_aspect=(1, 1), light=0)


def preprocess(mode: str = "squash", size: int = 16) -> PreprocessConfig:
    return PreprocessConfig(size=size, resize_mode=mode, image_mean=(0.5,) * 3, image_std=(0.5,) * 3)


def jpeg(width: int, height: int, orientation: int = 1) -> bytes:
    """Red at the left, blue at the right."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
@pytest.mark.parametrize("size", [16, 12])
def test_it_has_the_size_of_the_model(mode, size):
    seen = photograph(jpeg(90, 60), preprocess(mode, size), StreamSection(), rng())
    assert seen.shape == (3, size, size)
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, photograph(jpeg(90, 60), preprocess(mode, size), StreamSection(), rng()))
    assert not np.array_equal(seen, photograph(jpeg(90, 60), preprocess(mode, size), StreamSection(), rng(1)))


def test_it_is_upright():
    seen = photograph(jpeg(64, 64, orientation=6), preprocess(), WHOLE, rng())  # to be turned right by a quarter
    assert seen[0, :6].min() > 200, "red is above"
    assert seen[2, -6:].min() > 200, "blue is below"
    mirrored = photograph(jpeg(64, 64), preprocess(), WHOLE.model_copy(update={"flip": 1.0}), rng())
    assert mirrored[2, :, :6].min() > 200, "blue is at the left"


@settings(deadline=None)
@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    square=st.booleans(),
    low=st.floats(0.05, 1),
    seed=st.integers(0, 99),
)
def test_a_part_lies_within_the_picture(width, height, square, low, seed):
    config = StreamSection(crop_area=(low, 1), crop_aspect=(0.5, 2))
    left, top, right, bottom = _part(width, height, square, config, rng(seed))
    assert 0 <= left < right <= width + 1e-6
    assert 0 <= top < bottom <= height + 1e-6
    assert (right - left) * (bottom - top) <= width * height * 1.0001


def test_a_jpeg_is_decoded_no_larger_than_needed_and_no_smaller():
    data = jpeg(1600, 1200)
    assert decode(data).image.size == (1600, 1200)
    assert decode(data, at_least=1300).image.size == (1600, 1200)
    assert decode(data, at_least=300).image.size == (400, 300)
    assert decode(data, at_least=16).image.size == (200, 150)
    whole = photograph(data, preprocess(), WHOLE, rng()).astype(int)
    exact = np.asarray(decode(data).image.resize((16, 16), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert abs(whole - exact).mean() < 4


@pytest.mark.parametrize("data", [b"", b"no picture", jpeg(64, 64)[:300]])
def test_what_cannot_be_decoded_raises_what_the_house_raises(data):
    with pytest.raises(PictureError):
        photograph(data, preprocess(), StreamSection(), rng())
