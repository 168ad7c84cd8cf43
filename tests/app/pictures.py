"""Pictures for tests, as bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from tests.app.dummy import COLOURS


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(colour: str, size: tuple[int, int] = (32, 24), kind: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", size, COLOURS[colour]), kind)


def noise(seed: int, side: int = 16) -> bytes:
    """A picture like no other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels))


def two_colours(left: str, right: str) -> bytes:
    """Half of it the one, half of it the other."""
    image = Image.new("RGB", (32, 32), COLOURS[left])
    image.paste(COLOURS[right], (16, 0, 32, 32))
    return encoded(image)
