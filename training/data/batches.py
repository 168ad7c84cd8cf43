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
from training.data.captions import captions
from training.data.example import DataError, Example

_NEIGHBOURS = 8
_MANY_ROOT = 3.0
_CHUNK = 256  # drawings that are augmented at a time: what lies between drawing and picture takes much memory


@dataclass(frozen=True, slots=True)
class Source:
    """Examples with their drawings, uint8 (n, 4, Y, X), of which each batch takes `per_batch`."""

    examples: Sequence[Example]
    drawings: Tensor
    per_batch: int
    by_root: bool = False
    """Whether a concept of many drawings is drawn more often than one of few, by the square root of their number."""


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
        self._shares = [_shares(groups, source.by_root) for groups, source in zip(self._groups, sources, strict=True)]
        for source, shares in zip(sources, self._shares, strict=True):
            needed, rest = divmod(source.per_batch, config.per_concept)
            if rest or needed > int(shares.sum()):
                raise DataError(
                    f"per_batch = {source.per_batch} has to be a multiple of per_concept = {config.per_concept} and "
                    f"takes {needed} different concepts, of which this source has {int(shares.sum())} in an epoch"
                )

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, 1, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        size = self.size(step)
        each = self._config.captions_per_picture
        pixels, texts, concepts = [], [], []
        for number, source in enumerate(self._sources):
            rows = self._rows(number, step, rng)
            pixels += [
                (augment(source.drawings[part], size, generator) * 255).round_().byte()
                for part in torch.from_numpy(rows).split(_CHUNK)
            ]
            texts += [text for row in rows for text in captions(source.examples[row], each, rng)]
            concepts += [self._numbers[source.examples[row].concept] for row in rows]
        ids, mask = self._tokenizer.encode(texts)
        numbers = torch.tensor(concepts)
        of_texts = numbers.repeat_interleave(each)
        return Batch(torch.cat(pixels), torch.from_numpy(ids), torch.from_numpy(mask), numbers, of_texts)

    def size(self, step: int) -> int:
        """Side of the pictures of a step, in pixels."""
        early = self._config.early_size if step < self._config.early_steps else None
        return early or self._preprocess.size

    def _rows(self, source: int, step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        groups, shares, per_concept = self._groups[source], self._shares[source], self._config.per_concept
        size = self._sources[source].per_batch // per_concept
        epoch, place = divmod(step, int(shares.sum()) // size)
        of_epoch = np.random.default_rng((self._seed, 0, source, epoch))
        taken = _systematic(shares, of_epoch)
        order = taken[_blocks(len(taken), of_epoch)]
        chosen = (groups[group] for group in order[place * size :][:size])
        return np.concatenate([rng.choice(g, size=per_concept, replace=len(g) < per_concept) for g in chosen])


def _by_concept(examples: Sequence[Example]) -> list[NDArray[np.int64]]:
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.concept, []).append(index)
    return [np.array(groups[concept]) for concept in sorted(groups)]


def _shares(groups: Sequence[NDArray[np.int64]], by_root: bool) -> NDArray[np.float64]:
    """The share of epochs that each concept takes part in: all, or by the root of its drawings' number up to nine."""
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    return np.minimum(np.sqrt(sizes) / _MANY_ROOT, 1) if by_root else np.ones_like(sizes)


def _systematic(shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices, in order, each with the probability of its share: always as many as the shares add up to, or one more.

    Systematic sampling (Madow 1949): what is passed by points one apart on the line of all shares, from a random start.
    """
    ends = np.floor(np.cumsum(shares) + rng.random() + 1e-9)  # a sum of ones must not round down
    taken: NDArray[np.int64] = np.flatnonzero(np.diff(ends, prepend=0.0))
    return taken


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
