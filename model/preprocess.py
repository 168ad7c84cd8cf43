"""A picture on its way into the image tower: any mode → upright RGB → resized square → normalised array."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.config import PreprocessConfig
from model.picture import to_rgb


def resize(image: Image.Image, config: PreprocessConfig) -> Image.Image:
    """RGB picture of any size → RGB square of side `config.size`, the whole picture in it, the rest padded."""
    scale = config.size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    fitted = image.resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (config.size, config.size), config.pad_color)
    square.paste(fitted, ((config.size - width) // 2, (config.size - height) // 2))
    return square


def preprocess(image: Image.Image, config: PreprocessConfig) -> NDArray[np.float32]:
    """Picture of any mode and size → float32 (3, size, size), normalised by the config's mean and deviation."""
    pixels = np.asarray(resize(to_rgb(image), config), dtype=np.float32) / np.float32(255)  # (Y, X, 3)
    mean = np.asarray(config.image_mean, dtype=np.float32)
    std = np.asarray(config.image_std, dtype=np.float32)
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))
