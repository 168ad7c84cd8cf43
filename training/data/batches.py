"""The batch of any step, as a pure function of seed and step: a resumed run draws what the first would have drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import PreprocessConfig
from model.tokenizer import Tokenizer
from training.config import DataSection
from training.data.augment import augment
from training.data.batch import Batch
from training.data.captions import caption
from training.data.example import DataError, Example

_NEIGHBOURS = 8
_CHUNK = 256  # drawings that are augmented at a time: what lies between drawing and picture takes much memory


@dataclass(frozen=True, slots=True)
class Source:
    """Examples with their drawings, uint8 (n, 4, Y, X), of which each batch takes `per_batch`."""

    examples: Sequence[Example]
    drawings: Tensor
    per_batch: int


class Batches:
    """`batches[step]`: of each source the concepts of an epoch in random order, `per_concept` pictures of each.

    Drawing by concept and not by picture gives a concept drawn in two styles the same weight as one drawn in six, and
    two styles of one concept in a batch are each other's positives. Concepts come in blocks of neighbours in the order
    of their names: woman mechanic with woman pilot, arrow left with arrow right. What differs little is what is hard to
    tell apart, and in a batch drawn concept by concept it would seldom meet.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        tokenizer: Tokenizer,
        preprocess: PreprocessConfig,
        config: DataSection,
        seed: int,
    ) -> None:
        self._tokenizer, self._preprocess, self._config, self._seed = tokenizer, preprocess, config, seed
        self._sources = sources
        names = {example.concept for source in sources for example in source.examples}
        self._numbers = {concept: number for number, concept in enumerate(sorted(names))}
        self._groups = [_by_concept(source.examples) for source in sources]
        for source, groups in zip(sources, self._groups, strict=True):
            needed, rest = divmod(source.per_batch, config.per_concept)
            if rest or needed > len(groups):
                raise DataError(
                    f"per_batch = {source.per_batch} has to be a multiple of per_concept = {config.per_concept} and "
                    f"takes {needed} different concepts, of which this source has {len(groups)}"
                )

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, 1, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        size = self.size(step)
        pixels, captions, concepts = [], [], []
        for number, source in enumerate(self._sources):
            rows = self._rows(number, step, rng)
            pixels += [
                (augment(source.drawings[part], size, generator) * 255).round_().byte()
                for part in torch.from_numpy(rows).split(_CHUNK)
            ]
            captions += [caption(source.examples[row], rng) for row in rows]
            concepts += [self._numbers[source.examples[row].concept] for row in rows]
        ids, mask = self._tokenizer.encode(captions)
        numbers = torch.tensor(concepts)
        return Batch(torch.cat(pixels), torch.from_numpy(ids), torch.from_numpy(mask), numbers, numbers)

    def size(self, step: int) -> int:
        """Side of the pictures of a step, in pixels."""
        early = self._config.early_size if step < self._config.early_steps else None
        return early or self._preprocess.size

    def _rows(self, source: int, step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        groups, per_concept = self._groups[source], self._config.per_concept
        size = self._sources[source].per_batch // per_concept
        epoch, place = divmod(step, len(groups) // size)
        order = _blocks(len(groups), np.random.default_rng((self._seed, 0, source, epoch)))
        chosen = (groups[group] for group in order[place * size :][:size])
        return np.concatenate([rng.choice(g, size=per_concept, replace=len(g) < per_concept) for g in chosen])


def _by_concept(examples: Sequence[Example]) -> list[NDArray[np.int64]]:
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.concept, []).append(index)
    return [np.array(groups[concept]) for concept in sorted(groups)]


def _blocks(concepts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The numbers below `concepts` in random order, but neighbours in blocks, whose borders differ every time."""
    ring = (np.arange(concepts) + rng.integers(concepts)) % concepts
    blocks = np.split(ring, range(_NEIGHBOURS, concepts, _NEIGHBOURS))
    return np.concatenate([blocks[block] for block in rng.permutation(len(blocks))])


def normalise(pixels: Tensor, preprocess: PreprocessConfig) -> Tensor:
    """Pictures (B, 3, S, S) in 0 … 1, shifted and scaled as the image tower expects."""
    values = (preprocess.image_mean, preprocess.image_std)
    mean, std = (torch.tensor(value, device=pixels.device).view(3, 1, 1) for value in values)
    return (pixels - mean) / std
