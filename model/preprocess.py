"""A picture on its way into the image tower: any mode → upright RGB → resized square → normalised array."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.config import PreprocessConfig
from model.picture import to_rgb

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_REACH = {"bicubic": 2, "bilinear": 1}
"""How far a filter looks on either side, in pixels of the source or of the result, whichever are larger."""
_LONGEST = 64
"""Pictures of a longer shape, over their shortest side, are cut before they are scaled: the scaled whole of 60,000 × 1
pixels would take gigabytes, all but the centre in vain."""


def resize(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    """RGB picture of any size → RGB square of side `config.size`."""
    match config.resize_mode:
        case "pad":
            return _padded(image, config)
        case "crop":
            return _cropped(image, config)
        case _:
            return image.resize((config.size, config.size), FILTERS[config.resample])


def preprocess(image: Image.Image, config: PreprocessConfig) -> NDArray[np.float32]:
    """Picture of any mode and size → float32 (3, size, size), normalised by the config's mean and deviation."""
    pixels = np.asarray(resize(to_rgb(image), config), dtype=np.float32) / np.float32(255)  # (Y, X, 3)
    mean = np.asarray(config.image_mean, dtype=np.float32)
    std = np.asarray(config.image_std, dtype=np.float32)
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))


def _padded(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    """The whole picture, and padding around it."""
    ratio = max(image.size) / config.size
    width, height = (max(1, round(side / ratio)) for side in image.size)
    fitted = image.resize((width, height), FILTERS[config.resample])
    square = Image.new("RGB", (config.size, config.size), config.pad_color)
    square.paste(fitted, ((config.size - width) // 2, (config.size - height) // 2))
    return square


def _cropped(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    """The centre of what the picture is when its shortest side is scaled to `config.size`."""
    width, height = (int(config.size * side / min(image.size)) for side in image.size)
    x, y = (_half(side - config.size, config) for side in (width, height))
    if max(width, height) <= _LONGEST * config.size:
        whole = image.resize((width, height), FILTERS[config.resample])
        return whole.crop((x, y, x + config.size, y + config.size))
    left, right, x0, x1 = _source(x, image.width / width, image.width, config)
    top, bottom, y0, y1 = _source(y, image.height / height, image.height, config)
    seen = image.crop((left, top, right, bottom))
    return seen.resize((config.size, config.size), FILTERS[config.resample], (x0, y0, x1, y1))


def _half(spare: int, config: PreprocessConfig) -> int:
    return round(spare / 2) if config.crop_rounding == "even" else spare // 2  # round takes halves to the even number


def _source(offset: int, scale: float, side: int, config: PreprocessConfig) -> tuple[int, int, float, float]:
    """What becomes the pixels from `offset` on: the part of a side that the filter sees, and from where to where in it.

    `scale` is the size of such a pixel in pixels of the source, which has `side` of them.
    """
    start, stop = offset * scale, min(side, (offset + config.size) * scale)
    reach = math.ceil(_REACH[config.resample] * max(1, scale)) + 1
    first, last = max(0, math.floor(start) - reach), min(side, math.ceil(stop) + reach)
    return first, last, start - first, stop - first
