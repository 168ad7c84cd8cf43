"""What the model sees of a picture is what it was trained to see: the whole, its centre, or the whole stretched."""

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from model.preprocess import FILTERS, preprocess, resize
from tests.model.pictures import SHAPES, blocks, noise
from tests.model.tiny import preprocess as tiny

GOLDEN = np.load(Path(__file__).parent / "golden" / "open_clip_pictures.npz")
ODD = 17


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (300, 20), (20, 300), (1, 500), (15, 17)])
def test_any_shape_is_fitted_in_and_centred(size):
    square = resize(Image.new("RGB", size, (10, 20, 30)), tiny())
    assert square.size == (16, 16)
    pixels = np.asarray(square)
    inside = (pixels == (10, 20, 30)).all(axis=2)
    assert ((pixels == 255).all(axis=2) | inside).all(), "nothing but picture and white padding"
    rows, columns = inside.any(axis=1), inside.any(axis=0)
    assert max(rows.sum(), columns.sum()) == 16
    for used in (rows, columns):
        assert abs(int(used.argmax()) - int(used[::-1].argmax())) <= 1


def test_values_are_shifted_and_scaled_by_channel():
    config = tiny(image_mean=(0.5, 0.25, 0.0), image_std=(0.5, 0.25, 1.0))
    array = preprocess(Image.new("RGB", (4, 4), (255, 0, 51)), config)
    assert array.dtype == np.float32
    assert array.shape == (3, 16, 16)
    np.testing.assert_allclose(array[:, 8, 8], [1.0, -1.0, 0.2], atol=1e-6)


def test_transparent_pixels_look_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    np.testing.assert_array_equal(preprocess(clear, tiny()), preprocess(Image.new("RGB", (8, 8), "white"), tiny()))


def levels(one: object, other: object) -> int:
    """The largest difference between two pictures, in grey levels."""
    return int(np.abs(np.asarray(one, dtype=np.int64) - np.asarray(other, dtype=np.int64)).max())


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize(("mode", "theirs"), [("crop", "shortest"), ("squash", "squash"), ("pad", "longest")])
def test_squares_are_those_of_open_clip(mode, theirs, resample):
    config = tiny(size=ODD, resize_mode=mode, resample=resample)
    known = GOLDEN[f"{theirs}_{resample}"]
    compared = [(shape, square) for shape, square in zip(SHAPES, known, strict=True) if square.any()]
    assert len(compared) >= len(SHAPES) - 3, "open_clip can make nothing of three shapes, and that in one mode"
    assert {shape: levels(resize(blocks(*shape), config), square) for shape, square in compared} == {
        shape: pytest.approx(0, abs=1) for shape, _ in compared
    }


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}x{}".format(*shape))
def test_squares_are_those_of_transformers(shape, resample):
    side = {"height": ODD, "width": ODD}
    same = {"resample": FILTERS[resample], "do_rescale": False, "do_normalize": False, "return_tensors": "np"}
    clip = CLIPImageProcessorPil(size={"shortest_edge": ODD}, crop_size=side, **same)
    siglip = SiglipImageProcessorPil(size=side, **same)
    for image in (blocks(*shape), noise(*shape)):
        cropped = resize(image, tiny(size=ODD, resize_mode="crop", resample=resample, crop_rounding="down"))
        assert levels(cropped, clip(image)["pixel_values"][0].transpose(1, 2, 0)) <= 1
        squashed = resize(image, tiny(size=ODD, resize_mode="squash", resample=resample))
        assert levels(squashed, siglip(image)["pixel_values"][0].transpose(1, 2, 0)) <= 1


def test_values_are_those_of_transformers():
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    side = {"height": 32, "width": 32}
    reference = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side, image_mean=mean, image_std=std)
    config = tiny(size=32, resize_mode="crop", crop_rounding="down", image_mean=mean, image_std=std)
    image = noise(57, 43)
    np.testing.assert_allclose(preprocess(image, config), reference(image)["pixel_values"][0], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 4000), st.integers(3, 40), st.booleans(), st.sampled_from(sorted(FILTERS)))
def test_the_centre_of_a_long_picture_is_that_of_the_scaled_whole(short, long, size, upright, resample):
    """It is cut out before it is scaled, since the whole might not fit into memory; one does not see the difference.

    Pillow rounds between its two passes: at 600 to 1 that was found to make three levels of 256, elsewhere two.
    """
    image = blocks(short, long) if upright else blocks(long, short)
    width, height = (int(size * side / min(image.size)) for side in image.size)
    x, y = (side // 2 for side in (width - size, height - size))
    whole = image.resize((width, height), FILTERS[resample]).crop((x, y, x + size, y + size))
    made = resize(image, tiny(size=size, resize_mode="crop", resample=resample, crop_rounding="down"))
    assert levels(made, whole) <= 4


@pytest.mark.parametrize("mode", ["pad", "crop", "squash"])
@pytest.mark.parametrize("shape", [(60_000, 1), (1, 60_000), (65_535, 2)])
def test_a_line_takes_no_memory(mode, shape):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    square = resize(Image.new("RGB", shape, (9, 8, 7)), tiny(size=224, resize_mode=mode))
    assert square.size == (224, 224)
    assert (9, 8, 7) in {colour for _, colour in square.getcolors()}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"
