"""The whole picture reaches the model, whatever its shape and mode."""

import numpy as np
import pytest
from PIL import Image

from model.preprocess import preprocess, resize
from tests.model.tiny import preprocess as tiny


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
