"""What an export is measured with: pictures and captions that a gallery might hold.

Photographs cut many ways and drawings of simple shapes, which are always there; or the pictures of a folder of the
user's, which are nearer to what the model will see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.errors import ExportError, PictureError
from model.folder import ModelFolder
from model.picture import decode
from model.preprocess import preprocess

_PHOTOGRAPHS = Path(__file__).parent / "pictures"
_CUTS, _DRAWINGS = 16, 48
_MOST, _LEAST = 1000, 20
"""Pictures of the user's that are measured with; those of a larger folder are taken evenly."""

_THINGS = (
    "dog", "sleeping cat", "red apple", "mountain lake", "birthday cake", "city street at night", "cup of coffee",
    "rocket", "wooden chair", "pair of running shoes", "handwritten letter", "blue car", "tree without leaves",
    "woman in a white dress", "bowl of soup", "bird on a branch",
)  # fmt: skip
_FORMS = (
    "{}", "{} 2019", "a photo of a {}", "a drawing of a {}, seen from above", "my {} in the garden, last summer",
    "{} on a white background, isolated", "how it looks without the {}",
    "three of them beside a very large {} in the rain",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs of both towers: `pixels` (n, 3, S, S), and texts."""

    pixels: NDArray[np.float32]
    texts: tuple[str, ...]
    source: str


def samples_for(folder: ModelFolder, own: Path | None = None) -> Samples:
    """The samples as a model reads them, of the user's `own` folder of pictures if there is one.

    Raises ExportError if fewer than twenty of its files are pictures.
    """
    texts = tuple(form.format(thing) for form, thing in product(_FORMS, _THINGS))
    rows = [preprocess(picture, folder.preprocess) for picture in (_own(own) if own else _shipped())]
    if own and len(rows) < _LEAST:
        raise ExportError(f"{own} has {len(rows)} pictures that can be read; an export is measured with {_LEAST}.")
    return Samples(np.stack(rows), texts, own.resolve().name if own else "shipped")


def _own(folder: Path) -> Iterator[Image.Image]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for place in np.linspace(0, len(paths) - 1, min(len(paths), _MOST)).astype(int):
        try:
            yield decode(paths[place].read_bytes()).image
        except (PictureError, OSError):  # a folder of pictures may hold other files
            continue


def _shipped() -> Iterator[Image.Image]:
    dice = np.random.default_rng(0)
    for path in sorted(_PHOTOGRAPHS.glob("*.webp")):
        whole = decode(path.read_bytes()).image
        yield whole
        for _ in range(_CUTS - 1):
            yield _cut(whole, dice)
    for _ in range(_DRAWINGS):
        yield _drawing(dice)


def _cut(whole: Image.Image, dice: np.random.Generator) -> Image.Image:
    """A part of a picture, from a quarter to nine tenths of its sides."""
    width, height = (round(side * dice.uniform(0.25, 0.9)) for side in whole.size)
    x, y = (int(dice.integers(0, rest + 1)) for rest in (whole.width - width, whole.height - height))
    return whole.crop((x, y, x + width, y + height))


def _drawing(dice: np.random.Generator) -> Image.Image:
    """A few shapes of plain colours on a plain ground."""
    side = 192
    picture = Image.new("RGB", (side, side), _colour(dice))
    draw = ImageDraw.Draw(picture)
    for _ in range(dice.integers(1, 6)):
        x, y = dice.integers(0, side // 2, 2)
        width, height = dice.integers(side // 6, side // 2, 2)
        box = (int(x), int(y), int(x + width), int(y + height))
        (draw.ellipse, draw.rectangle)[dice.integers(2)](box, fill=_colour(dice))
    return picture


def _colour(dice: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in dice.integers(0, 256, 3))
    return red, green, blue
