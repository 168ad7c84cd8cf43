"""What a worker process does: rows of a batch, from references to pictures of the model's size and their captions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from model.config import PreprocessConfig
from model.errors import PictureError
from training.data.bad import BadSample
from training.data.captions import caption, written
from training.data.data_set import DataSet, Reference
from training.data.example import Example
from training.data.photograph import photograph
from training.data.section import StreamSection

SPARE = 16
"""Samples after a bad one of which the first good one takes its place."""


@dataclass(frozen=True, slots=True)
class Task:
    """Some rows of a batch.

    A row is (source, number of the sample in the order of that source); `samples` are those of each source, and after
    them `SPARE` more, of which the first has the number in `first`.
    """

    size: int
    rows: Sequence[tuple[int, int]]
    first: Sequence[int]
    samples: Sequence[Sequence[Reference]]


@dataclass(frozen=True, slots=True)
class Rows:
    """n pictures in uint8 (n, 3, size, size), k captions of each, their concepts, int64 (n,), and what was bad.

    With a `failure`, a sentence, they could not all be found, and the run has to end. It is no exception, since from
    another process an exception comes with a traceback in its place, and without what was bad.
    """

    pixels: Tensor
    captions: list[str]
    concepts: Tensor
    bad: list[BadSample]
    failure: str = ""


class Decoder(Dataset[Rows]):
    """`decoder[task]`: the same for the same task, whichever process it is in.

    In the place of a bad sample comes the one that follows it in the order; a batch stays as large as it should be,
    and what each of its rows is does not depend on how the rows are shared out among processes.
    """

    def __init__(
        self,
        sources: Sequence[DataSet[Any]],
        preprocess: PreprocessConfig,
        config: StreamSection,
        captions_per_picture: int,
        seed: int,
    ) -> None:
        self._sources, self._preprocess, self._config = sources, preprocess, config
        self._captions, self._seed = captions_per_picture, seed

    def __getitem__(self, task: Task) -> Rows:
        preprocess = self._preprocess.model_copy(update={"size": task.size})
        pixels = np.empty((len(task.rows), 3, task.size, task.size), dtype=np.uint8)
        captions: list[str] = []
        concepts: list[int] = []
        bad: list[BadSample] = []
        for place, (source, number) in enumerate(task.rows):
            start = number - task.first[source]
            candidates = task.samples[source][start : start + SPARE + 1]
            for tried, reference in enumerate(candidates):
                rng = np.random.default_rng((self._seed, 2, source, number, tried))
                try:
                    example = self._sources[source].example(reference)
                    pixels[place] = self._picture(example, reference, source, preprocess, rng)
                    break
                except BadSample as error:
                    if not tried:  # the others have rows of their own, which tell
                        bad.append(error)
            else:
                failure = f"{len(candidates)} samples on end cannot be used. The first: {bad[-1]}"
                return Rows(torch.from_numpy(pixels[: place + 1]), captions, torch.tensor(concepts), bad, failure)
            captions += said(example, self._captions, rng)
            concepts.append(concept_number(example.concept))
        return Rows(torch.from_numpy(pixels), captions, torch.tensor(concepts), bad)

    def _picture(
        self, example: Example, reference: Reference, source: int, preprocess: PreprocessConfig, rng: Generator
    ) -> np.ndarray[Any, np.dtype[np.uint8]]:
        try:
            return photograph(example.picture, preprocess, self._config, rng)
        except PictureError as error:
            raise BadSample(reference.key, self._sources[source].parts[reference.part], str(error)) from None


def said(example: Example, count: int, rng: Generator) -> list[str]:
    """So many captions of one picture: different ones as long as there are.

    Captions as people write them stay as they are; of a label with keywords, as drawings have, `caption` makes some.
    """
    if example.tags and not example.captions:
        return [caption(example, rng) for _ in range(count)]
    return written(example, count, rng)


def concept_number(concept: str) -> int:
    """The same number in every process for the same concept, whatever its capitals; others have others (64 bits)."""
    digest = hashlib.blake2b(concept.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
