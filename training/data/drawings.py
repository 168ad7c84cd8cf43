"""Data sets of drawings that are small and few enough to be held in memory."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from model.config import PreprocessConfig
from model.errors import PictureError
from model.picture import decode
from model.preprocess import resize
from training.data.bad import BadSample, BadSamples
from training.data.example import DataError, Example
from training.data.opening import open_data
from training.data.samples import every_sample
from training.data.section import ColumnsSection

_USUAL = ColumnsSection()


def read_examples(
    path: Path | Sequence[Path], columns: ColumnsSection = _USUAL, bad: BadSamples | None = None
) -> list[Example]:
    """Every sample of a data set of any kind that `open_data` knows, in its order; bad ones are told to `bad`.

    Without `bad`, a line on stderr counts them. A sample without a concept is one of its own label; one without a
    style has "". Raises DataError where there are none, TooManyBad where too many are bad.
    """
    data = open_data(path, columns)
    report = BadSamples() if bad is None else bad
    found = list(every_sample(data, data.example, report))
    report.finish()
    if not found:
        raise DataError(f"{path}: {data.description}, and it holds no samples")
    if bad is None and report.summary:
        print(report.summary, file=sys.stderr)
    return found


def load_drawings(
    path: Path | Sequence[Path], size: int, columns: ColumnsSection, bad: BadSamples
) -> tuple[list[Example], Tensor]:
    """The samples of a data set whose pictures can be decoded, and these as `decode_pictures` gives them."""
    return _load(path, columns, bad, lambda picture: _fitted(picture, size))


def load_fitted(
    path: Path | Sequence[Path], preprocess: PreprocessConfig, columns: ColumnsSection, bad: BadSamples
) -> tuple[list[Example], Tensor]:
    """The same, uint8 (n, 4, size, size), with every picture over white and fitted in as `preprocess` says."""

    def fitted(picture: bytes) -> NDArray[np.uint8]:
        opaque = resize(decode(picture).image, preprocess).convert("RGBA")
        return np.asarray(opaque)

    return _load(path, columns, bad, fitted)


def _load(
    path: Path | Sequence[Path], columns: ColumnsSection, bad: BadSamples, fit: Callable[[bytes], NDArray[np.uint8]]
) -> tuple[list[Example], Tensor]:
    examples = read_examples(path, columns, bad)
    kept, pixels = [], []
    for number, example in enumerate(tqdm(examples, desc="decoding", unit="picture")):
        try:
            pixels.append(fit(example.picture))
            kept.append(example)
        except PictureError as error:
            bad.add(BadSample(f"number {number}, {example.label!r}", str(path), str(error)), was_good=True)
    bad.finish()
    if not kept:
        raise DataError(f"{path} holds no picture that can be decoded. The last: {bad.last}")
    return kept, _stacked(pixels)


def decode_pictures(examples: Sequence[Example], size: int) -> Tensor:
    """Pictures → uint8 (n, 4, size, size): the whole picture fitted in and centred, colour multiplied by alpha.

    Colour is premultiplied so that resampling and turning never blend in the hidden colour of transparent pixels.
    Raises PictureError.
    """
    return _stacked([_fitted(e.picture, size) for e in tqdm(examples, desc="decoding", unit="picture")])


def _fitted(data: bytes, size: int) -> NDArray[np.uint8]:
    """One picture → (size, size, 4)."""
    out = np.zeros((size, size, 4), dtype=np.uint8)
    picture = decode(data).drawn.convert("RGBA").convert("RGBa")
    scale = size / max(picture.size)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BOX)
    x, y = (size - picture.width) // 2, (size - picture.height) // 2
    out[y : y + picture.height, x : x + picture.width] = np.asarray(picture)
    return out


def _stacked(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
