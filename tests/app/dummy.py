"""A small stand-in for the model: pictures and words become vectors by their colours, in a millisecond."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.picture import Picture

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 60),
    "blue": (40, 70, 220),
    "yellow": (240, 220, 40),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}


class ColourEncoder:
    """Vectors of 64 colour bins: a picture's share of each. A word has the vector of a picture of that colour."""

    dim = 64
    name = "colours"
    logit_scale, logit_bias = 10.0, 0.0
    side_needed = 16

    def __init__(self, fingerprint: str = "c0105") -> None:
        self.fingerprint = fingerprint

    def preprocess(self, picture: Picture | Image.Image) -> NDArray[np.uint8]:
        image = picture.image if isinstance(picture, Picture) else picture
        return np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.BOX))

    def encode_pixels(self, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        bins = np.stack(batch).astype(np.int64) // 64  # (n, 16, 16, 3)
        codes = (bins @ np.array([16, 4, 1])).reshape(len(batch), -1)
        shares = np.stack([np.bincount(code, minlength=self.dim) for code in codes]).astype(np.float32) + 0.01
        return shares / np.linalg.norm(shares, axis=1, keepdims=True)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.encode_pixels([self.preprocess(image) for image in images])

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_images([Image.new("RGB", (16, 16), self._colour(text)) for text in texts])

    def _colour(self, text: str) -> tuple[int, int, int]:
        named = [COLOURS[word] for word in text.lower().split() if word in COLOURS]
        digest = hashlib.sha256(text.encode()).digest()
        return named[0] if named else (digest[0], digest[1], digest[2])
