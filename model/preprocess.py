"""A picture on its way into the image tower: any mode → upright RGB → resized square → normalised array."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.config import PreprocessConfig
from model.picture import Picture, to_rgb

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_REACH = {"bicubic": 2, "bilinear": 1}
"""How far a filter looks on either side, in pixels of the source or of the result, whichever are larger."""
_OVERSAMPLING = 1.5
"""Pixels of a decoded picture for one of the result, at the least. What is above was averaged away on the way here, as
the filter would have done: of photographs with just so many, a ViT-B/32 has vectors that agree to a cosine of 0.9999
with those of the whole; with 1.25 it is 0.9998."""
_LONGEST = 64
"""Pictures of a longer shape, over their shortest side, are cut before they are scaled: the scaled whole of 60,000 × 1
pixels would take gigabytes, all but the centre in vain."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The pixels to make a square of, and of which picture they are: it may have been larger."""

    image: Image.Image
    width: int
    height: int
    box: tuple[float, float, float, float]

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def scaled(self, size: tuple[int, int], config: PreprocessConfig) -> Image.Image:
        return self.image.resize(size, FILTERS[config.resample], self.box)


def side_needed(config: PreprocessConfig) -> int:
    """As many pixels has either side of a picture to have, so that more would not change what the model says of it."""
    return math.ceil(config.size * _OVERSAMPLING)


def resize(picture: Image.Image | Picture, config: PreprocessConfig) -> Image.Image:
    """RGB picture of any size, perhaps reduced by `decode` → RGB square of side `config.size`."""
    if isinstance(picture, Picture):
        source = _Source(picture.image, picture.width, picture.height, picture.box)
    else:
        source = _Source(picture, *picture.size, (0, 0, *picture.size))
    match config.resize_mode:
        case "pad":
            return _padded(source, config)
        case "crop":
            return _cropped(source, config)
        case _:
            return source.scaled((config.size, config.size), config)


def preprocess(picture: Image.Image | Picture, config: PreprocessConfig) -> NDArray[np.float32]:
    """Picture of any mode and size → float32 (3, size, size), normalised by the config's mean and deviation."""
    square = resize(picture if isinstance(picture, Picture) else to_rgb(picture), config)
    pixels = np.asarray(square)  # (Y, X, 3)
    row = np.empty((3, config.size, config.size), dtype=np.float32)
    for channel, values in enumerate(_values(config.image_mean, config.image_std)):
        np.take(values, pixels[:, :, channel], out=row[channel], mode="clip")  # the other mode makes a copy
    return row


@cache
def _values(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """What becomes of each of the 256 levels, by channel (3, 256)."""
    levels = np.arange(256, dtype=np.float32)[:, np.newaxis] / np.float32(255)
    return np.ascontiguousarray(((levels - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)).T)


def _padded(source: _Source, config: PreprocessConfig) -> Image.Image:
    """The whole picture, and padding around it."""
    ratio = max(source.size) / config.size
    width, height = (max(1, round(side / ratio)) for side in source.size)
    fitted = source.scaled((width, height), config)
    square = Image.new("RGB", (config.size, config.size), config.pad_color)
    square.paste(fitted, ((config.size - width) // 2, (config.size - height) // 2))
    return square


def _cropped(source: _Source, config: PreprocessConfig) -> Image.Image:
    """The centre of what the picture is when its shortest side is scaled to `config.size`."""
    width, height = (int(config.size * side / min(source.size)) for side in source.size)
    x, y = (_half(side - config.size, config) for side in (width, height))
    if max(width, height) <= _LONGEST * config.size:
        whole = source.scaled((width, height), config)
        return whole.crop((x, y, x + config.size, y + config.size))
    left, right, x0, x1 = _seen(x, width, source.box[0::2], source.image.width, config)
    top, bottom, y0, y1 = _seen(y, height, source.box[1::2], source.image.height, config)
    seen = source.image.crop((left, top, right, bottom))
    return seen.resize((config.size, config.size), FILTERS[config.resample], (x0, y0, x1, y1))


def _half(spare: int, config: PreprocessConfig) -> int:
    return round(spare / 2) if config.crop_rounding == "even" else spare // 2  # round takes halves to the even number


def _seen(
    offset: int, scaled: int, ends: tuple[float, ...], side: int, config: PreprocessConfig
) -> tuple[int, int, float, float]:
    """What becomes the pixels from `offset` on: the part of a side that the filter sees, and from where to where in it.

    What lies between the `ends`, of `side` pixels, becomes `scaled` pixels.
    """
    scale = (ends[1] - ends[0]) / scaled
    start, stop = ends[0] + offset * scale, min(ends[1], ends[0] + (offset + config.size) * scale)
    reach = math.ceil(_REACH[config.resample] * max(1, scale)) + 1
    first, last = max(0, math.floor(start) - reach), min(side, math.ceil(stop) + reach)
    return first, last, start - first, stop - first
