"""Collections of any size to search, written through the catalog without one upload: unit vectors and metadata.

The vectors lie around those of the demo gallery's captions, as pictures of a real collection lie around what they show,
so that an index meets clusters and queries have near neighbours. No picture belongs to them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.gallery.demo import SHARD
from app.inference.lane import Encoder
from app.records.record import Entry, Vectors
from app.storage.catalog import Catalog
from app.storage.folder import DataFolder
from model.shards import read_shard

BATCH = 10_000
_LEAST_NOISE, _MOST_NOISE = 0.5, 1.2
"""Lengths of what is added to a caption's vector of length 1: the cosine with it is 0.9 to 0.64."""

_KINDS = ("small", "big", "old", "new", "happy", "sad", "bright", "dark", "funny", "lonely", "wooden", "broken")
_PLACES = ("at night", "on a table", "in the rain", "on white", "by the sea", "in the snow", "outdoors", "at home")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pictures that never were."""

    entries: list[Entry]
    vectors: Vectors
    """(n, dim)"""


def captions() -> list[str]:
    """Of the demo gallery, each once."""
    return list(dict.fromkeys(str(sample.metadata["caption"]) for sample in read_shard(SHARD)))


def queries(seed: int) -> Iterator[str]:
    """Some hundred thousand queries of 3 to 9 words, each once, in an order of the seed: no cache has an answer."""
    pairs = list(itertools.product(_KINDS, _PLACES))
    every = captions()
    for number in np.random.default_rng(seed).permutation(len(every) * len(pairs)):
        kind, place = pairs[number // len(every)]
        yield f"{kind} {every[number % len(every)]} {place}"


def collection(encoder: Encoder, count: int, *, seed: int = 0) -> Iterator[Batch]:
    """So many pictures, a batch at a time; the same for the same seed."""
    noise = np.random.default_rng(seed)
    every = captions()
    centres = np.concatenate([encoder.encode_texts(every[start : start + 64]) for start in range(0, len(every), 64)])
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        chosen = noise.integers(0, len(every), n)
        lengths = noise.uniform(_LEAST_NOISE, _MOST_NOISE, (n, 1)).astype(np.float32)
        vectors = centres[chosen] + lengths * _unit(noise.standard_normal((n, encoder.dim), dtype=np.float32))
        years = noise.integers(2005, 2026, n).tolist()
        yield Batch(
            [_entry(start + place, every[chosen[place]], years[place]) for place in range(n)],
            _unit(vectors.astype(np.float32)),
        )


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _entry(number: int, caption: str, year: int) -> Entry:
    tags = caption.split()
    metadata: dict[str, Any] = {
        "caption": caption,
        "url": f"https://pictures.example/{year}/{number:07}.jpg",
        "album": f"{tags[0]} {year}",
        "year": year,
        "tags": tags,
    }
    return Entry(
        id=f"picture-{number:07}",
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        content_type="image/jpeg",
        bytes=200_000 + number % 100_000,
        width=1600,
        height=1200,
        created_at=f"{year}-06-01T12:00:00Z",
        metadata=metadata,
    )


def write_data_folder(path: Path, encoder: Encoder, batches: Iterator[Batch]) -> None:
    """A data folder as if the pictures had been uploaded, but for their files."""
    with DataFolder(path) as folder:
        catalog = Catalog(folder.catalog)
        try:
            for batch in batches:
                with catalog.change() as change:
                    change.insert(batch.entries, batch.vectors, encoder.fingerprint)
        finally:
            catalog.close()
