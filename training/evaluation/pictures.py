"""The pictures that a model is evaluated on, what is known of each, and their vectors."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model import Encoder
from model.errors import PictureError
from model.picture import decode
from training.data.bad import BadSample, BadSamples
from training.data.data_set import Reference
from training.data.example import DataError
from training.data.opening import open_data
from training.data.samples import every_sample
from training.data.words import Words

_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What is known of a picture: pictures of the same `concept` answer the same query.

    `label` is the concept's name, `labels` the same in other languages by their codes; `captions` are all sentences
    about this very picture where it has several, and it then is a concept by itself.
    """

    key: str
    concept: str
    label: str
    captions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    style: str = ""
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Encoded pictures: unit vectors (n, dim), what is known of each, and where they were read."""

    vectors: NDArray[np.float32]
    examples: Sequence[Described]
    source: Path

    @property
    def concepts(self) -> list[str]:
        """The concept of each picture."""
        return [example.concept for example in self.examples]

    def of(self, rows: NDArray[np.bool_]) -> "Pictures":
        """Some of the pictures: those where rows (n,) is True."""
        return Pictures(self.vectors[rows], [self.examples[row] for row in np.flatnonzero(rows).tolist()], self.source)


def splits(path: Path) -> Sequence[Path]:
    """The splits at a path: each folder of shards in it if it holds none itself; else all of it is one."""
    if not path.is_dir() or any(path.glob("*.tar")):
        return [path]
    return sorted({shard.parent for shard in path.glob("*/*.tar")}) or [path]


def encode(encoder: Encoder, path: Path) -> Pictures:
    """Encode every picture of a split through the model's own preprocessing; their bytes are not kept.

    Samples that cannot be used are left out and counted on stderr. Raises DataError where there are none, TooManyBad
    where too many are bad: of a data set of which much is missing, the figures would mean little.
    """
    examples: list[Described] = []
    rows: list[NDArray[np.float32]] = []
    vectors: list[NDArray[np.float32]] = []
    bad = BadSamples()
    for example, data in tqdm(read(path, bad), desc=f"encoding {path.name}", unit="picture", mininterval=1.0):
        try:
            rows.append(encoder.preprocess(decode(data).image))
        except PictureError as error:
            bad.add(BadSample(example.key, str(path), str(error)), was_good=True)
            continue
        examples.append(example)
        if len(rows) == _BATCH:
            vectors.append(encoder.encode_pixels(rows))
            rows.clear()
    vectors.append(encoder.encode_pixels(rows))
    bad.finish()
    if bad.summary:
        print(bad.summary, file=sys.stderr)
    if not examples:
        raise DataError(f"{path} holds no pictures that could be evaluated")
    return Pictures(np.concatenate(vectors), examples, path)


def read(path: Path, bad: BadSamples) -> Iterator[tuple[Described, bytes]]:
    """Every picture of a data set of any kind that `open_data` knows, in its order; bad ones are told to `bad`."""
    data = open_data(path)

    def described(reference: Reference) -> tuple[Described, bytes]:
        return _described(f"{reference.part}/{reference.key}", data.words(reference)), data.picture(reference)

    return every_sample(data, described, bad)


def _described(key: str, words: Words) -> Described:
    several = (words.label, *words.captions) if words.captions else ()
    return Described(
        key=key,
        concept=key if several and not words.concept else words.meaning,
        label=words.label,
        captions=several,
        tags=words.tags,
        style=words.style,
        group=words.group,
        labels=words.labels,
    )
