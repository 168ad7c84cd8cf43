"""A file's bytes to a varied picture of the model's size: crop, mirror, light, all drawn from one generator."""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from model.config import PreprocessConfig
from model.picture import decode
from model.preprocess import FILTERS, resize
from training.data.section import StreamSection


def photograph(data: bytes, preprocess: PreprocessConfig, config: StreamSection, rng: Generator) -> NDArray[np.uint8]:
    """Bytes → uint8 (3, S, S), S the size in `preprocess`; upright, over white where the picture is transparent.

    What is seen is a random part of the picture (Szegedy et al. 2015, section 6), which is then fitted in as the model
    fits pictures in: stretched, or padded. Where the model cuts the centre out, the part is nearly square, and
    stretched. Raises PictureError.
    """
    # As many pixels as the smallest part needs, and no more.
    image = decode(data, at_least=math.ceil(preprocess.size / _smallest_side(config))).image
    box = _part(image.width, image.height, preprocess.resize_mode == "crop", config, rng)
    if preprocess.resize_mode == "pad":
        left, top, right, bottom = map(round, box)
        seen = resize(image.crop((left, top, max(left + 1, right), max(top + 1, bottom))), preprocess)
    else:
        seen = image.resize((preprocess.size, preprocess.size), FILTERS[preprocess.resample], box)
    if rng.random() < config.flip:
        seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if config.light:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            seen = enhance(seen).enhance(1 + config.light * rng.uniform(-1, 1))
    return np.ascontiguousarray(np.asarray(seen).transpose(2, 0, 1))


def _smallest_side(config: StreamSection) -> float:
    """The shortest side of any part over the shortest side of its picture, at least."""
    return math.sqrt(config.crop_area[0] * min(config.crop_aspect[0], 1 / config.crop_aspect[1], 1))


def _part(
    width: int, height: int, square: bool, config: StreamSection, rng: Generator
) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a random part, in pixels; its aspect is near 1 or near that of the picture."""
    narrow, wide = config.crop_aspect
    area = rng.uniform(*config.crop_area) * width * height
    aspect = math.exp(rng.uniform(math.log(narrow), math.log(wide))) * (1 if square else width / height)
    across = min(width, max(1.0, math.sqrt(area * aspect)))
    down = min(height, max(1.0, math.sqrt(area / aspect)))
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    return left, top, left + across, top + down
