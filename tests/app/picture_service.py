"""The service with real decoding and preprocessing and a small encoder, as a process of its own:
python -m tests.app.picture_service DATA"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.commands.serve import serve
from app.settings import Settings
from model.config import PreprocessConfig
from model.picture import Picture
from model.preprocess import preprocess, side_needed

MAX_PIXELS = 4_000_000
CONFIG = PreprocessConfig(size=32, image_mean=(0.5, 0.5, 0.5), image_std=(0.25, 0.25, 0.25))


class PixelEncoder:
    """Vectors that tell every pixel: what a model's preprocessing makes of a picture, turned at random."""

    dim = 64
    name = "pixels"
    logit_scale, logit_bias = 10.0, 0.0
    fingerprint = "91e15"

    def __init__(self) -> None:
        self._turn = np.random.default_rng(0).normal(size=(3 * CONFIG.size**2, self.dim)).astype(np.float32)

    side_needed = side_needed(CONFIG)

    def preprocess(self, picture: Picture | Image.Image) -> NDArray[np.float32]:
        return preprocess(picture, CONFIG)

    def encode_pixels(self, batch: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        vectors = np.stack([(row.ravel() + 0.01) @ self._turn for row in batch])  # one by one: the same in any batch
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        grey = [hashlib.sha256(text.encode()).digest()[0] for text in texts]
        return self.encode_pixels([self.preprocess(Image.new("RGB", (8, 8), (value,) * 3)) for value in grey])


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    settings = Settings(data=Path(sys.argv[1]), port=0, demo=False, max_pixels=MAX_PIXELS)
    sys.exit(serve(settings, PixelEncoder()))
