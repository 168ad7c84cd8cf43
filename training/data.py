"""Pictures and captions of a shard folder, held in memory, and the batches drawn from them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from model.errors import ParallaxError
from model.shards import Sample, read_shard


class DataError(ParallaxError):
    """A data folder holds nothing that can be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One captioned picture: pictures of the same `concept` are positives of each other's captions."""

    picture: bytes
    label: str
    tags: tuple[str, ...]
    concept: str
    style: str


def read_examples(folder: Path) -> list[Example]:
    """Every sample of every shard of `folder`, shards by name.

    A sample without `metadata.concept` is a concept of its own caption, one without `metadata.source` of style "".
    """
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise DataError(f"{folder} holds no shards (*.tar); `python -m training prepare pictogram DIR` makes some")
    return [_example(sample) for shard in shards for sample in read_shard(shard)]


def _example(sample: Sample) -> Example:
    metadata: dict[str, Any] = sample.metadata.get("metadata", {})
    return Example(
        picture=sample.picture,
        label=sample.caption,
        tags=tuple(metadata.get("tags", ())),
        concept=metadata.get("concept", sample.caption),
        style=metadata.get("source", ""),
    )


def decode_pictures(examples: Sequence[Example], size: int) -> Tensor:
    """Pictures → uint8 (n, 4, size, size): the whole picture fitted in and centred, colour multiplied by alpha.

    Colour is premultiplied so that resampling and turning never blend in the hidden colour of transparent pixels.
    """
    out = np.zeros((len(examples), size, size, 4), dtype=np.uint8)
    for row, example in enumerate(tqdm(examples, desc="decoding", unit="picture")):
        with Image.open(io.BytesIO(example.picture)) as image:
            picture = image.convert("RGBA").convert("RGBa")
        scale = size / max(picture.size)
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BOX)
        x, y = (size - picture.width) // 2, (size - picture.height) // 2
        out[row, y : y + picture.height, x : x + picture.width] = np.asarray(picture)
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()
