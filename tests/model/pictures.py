"""Pictures of awkward shapes, the same ones each time."""

import numpy as np
from PIL import Image

SHAPES = (
    *((1, 1), (1, 7), (7, 1), (2, 3), (17, 17), (18, 17), (17, 20), (17, 21), (37, 37), (16, 15)),
    *((1, 300), (300, 1), (3, 500), (640, 480), (481, 640), (333, 500), (501, 333), (255, 256), (900, 40), (41, 900)),
)
"""(width, height): odd, portrait and landscape, tiny, one pixel wide, as large as the square and one more."""


def blocks(width: int, height: int) -> Image.Image:
    """Squares of colour with some noise on them."""
    chance = np.random.default_rng(width * 100_003 + height)
    coarse = chance.integers(0, 236, (5, 5, 3), dtype=np.uint8)
    rows, columns = (np.arange(side) * 5 // side for side in (height, width))
    noise = chance.integers(0, 20, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(coarse[rows][:, columns] + noise)


def noise(width: int, height: int) -> Image.Image:
    """Every pixel by itself, where filters overshoot the most."""
    chance = np.random.default_rng(width * 100_003 + height)
    return Image.fromarray(chance.integers(0, 256, (height, width, 3), dtype=np.uint8))
