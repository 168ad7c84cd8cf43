"""Where the batches of a run come from."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from model.tokenizer import Tokenizer
from training.config import SourceSection, TrainingConfig
from training.data.ahead import ahead
from training.data.bad import BAD_SAMPLES, BadSamples
from training.data.batch import Batch
from training.data.batches import Batches, Source
from training.data.captions import vocabulary_texts
from training.data.drawings import load_drawings
from training.data.kind import kind
from training.data.stream import StreamFeed, open_sources, vocabulary
from training.loop.environment import data_hash
from training.loop.ranks import Ranks


class Feed(Protocol):
    """Batches in a fixed order, whoever asks and however often; each process gets its part of each."""

    def batches(self, step: int, state: dict[str, Any]) -> Generator[Batch, None, None]:
        """This process's part of the batch of step number `step`, from 0, and of those after it.

        `state` is what `state()` said when that many steps were done, on any number of processes; empty at the start.
        """

    def state(self) -> dict[str, Any]:
        """What `batches` needs to go on after the last batch that it handed out: plain values."""

    def size(self, step: int) -> int:
        """Side of the pictures of a step, in pixels."""

    def hash(self) -> str:
        """SHA-256 of the data."""


OpenFeed = Callable[[Tokenizer], Feed]


class MemoryFeed:
    """Batches of pictures that are held in memory; each is a function of the seed and its step.

    A batch is shuffled before it is shared out: every chunk then has something of all sources, which batch
    normalisation, chunk by chunk, would otherwise even out.
    """

    def __init__(self, sources: Sequence[Source], tokenizer: Tokenizer, config: TrainingConfig, ranks: Ranks) -> None:
        self._batches = Batches(sources, tokenizer, config.model.preprocess, config.data, config.seed)
        self._sources, self._ranks, self._seed = sources, ranks, config.seed

    def batches(self, step: int, state: dict[str, Any]) -> Generator[Batch, None, None]:  # noqa: ARG002  # the step says it all
        """This process's part of each batch; the next one is drawn while the step runs."""
        return ahead(self._drawn(step))

    def _drawn(self, step: int) -> Iterator[Batch]:
        while True:
            batch = self._batches[step]
            order = np.random.default_rng((self._seed, 3, step)).permutation(len(batch.pixels))
            yield batch.reordered(torch.from_numpy(order)).part(self._ranks.index, self._ranks.count)
            step += 1

    def state(self) -> dict[str, Any]:
        """Nothing but the step is needed."""
        return {}

    def size(self, step: int) -> int:
        """Side of the pictures of a step, in pixels."""
        return self._batches.size(step)

    def hash(self) -> str:
        """SHA-256 of all pictures and captions."""
        return data_hash(example for source in self._sources for example in source.examples)


def open_feed(config: TrainingConfig, folder: Path, ranks: Ranks) -> tuple[Callable[[], Sequence[str]], OpenFeed]:
    """What the training pictures are: the texts that a tokenizer is trained on, and what makes a feed with it.

    Bad samples are named in the run's `folder`. Raises DataError.
    """
    data = open_sources(config.data)
    streamed = kind(config, data) == "stream"
    if ranks.index == 0:
        for section, source in zip(config.data.train, data, strict=True):
            print(f"{section.path}: {source.description}, {'streamed' if streamed else 'in memory'}", file=sys.stderr)
    # Each process reads a part of a stream, but all of what is held in memory.
    report = folder / BAD_SAMPLES if streamed or ranks.index == 0 else None
    bad = BadSamples(report, config.data.bad_share)
    if streamed:
        return partial(vocabulary, config, data), lambda tokenizer: StreamFeed(
            config, data, tokenizer, ranks.index, ranks.count, bad
        )
    sources = _read_sources(config, bad)
    if bad.summary and ranks.index == 0:
        print(bad.summary, file=sys.stderr)
    return partial(_captions, sources), lambda tokenizer: MemoryFeed(sources, tokenizer, config, ranks)


def _read_sources(config: TrainingConfig, bad: BadSamples) -> list[Source]:
    """All training pictures, decoded at `data.cache_size`."""

    def read(section: SourceSection) -> Source:
        examples, drawings = load_drawings(section.path, config.data.cache_size, section.columns, bad)
        return Source(examples, drawings, section.per_batch, section.by_root)

    return [read(section) for section in config.data.train]


def _captions(sources: Sequence[Source]) -> list[str]:
    return [text for source in sources for text in vocabulary_texts(source.examples)]
