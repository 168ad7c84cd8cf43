"""What one step is trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.errors import ParallaxError


class BatchError(ParallaxError):
    """A batch cannot be shared out."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B pictures with k texts each, M = k · B: pixels in uint8 (B, 3, S, S), ids and mask (M, T).

    `concepts` (B,) of the pictures and `text_concepts` (M,) of the texts say what belongs together. The texts of a
    picture stand together, in the order of the pictures.
    """

    pixels: Tensor
    ids: Tensor
    mask: Tensor
    concepts: Tensor
    text_concepts: Tensor

    def part(self, index: int, count: int) -> "Batch":
        """Part number `index` of `count` equal ones, in the order of the pictures."""
        if len(self.pixels) % count:
            raise BatchError(
                f"A batch of {len(self.pixels)} pictures cannot be shared out evenly among {count} processes"
            )
        return self.rows(index * len(self.pixels) // count, len(self.pixels) // count)

    def rows(self, start: int, count: int) -> "Batch":
        """`count` pictures, or what is left, from picture number `start` on, with their texts."""
        k = len(self.ids) // len(self.pixels)
        pictures, texts = slice(start, start + count), slice(start * k, (start + count) * k)
        return Batch(
            self.pixels[pictures], self.ids[texts], self.mask[texts], self.concepts[pictures], self.text_concepts[texts]
        )

    def reordered(self, order: Tensor) -> "Batch":
        """The same pictures (B,) in another order, each with its texts."""
        k = len(self.ids) // len(self.pixels)
        texts = (order[:, None] * k + torch.arange(k)).flatten()
        return Batch(
            self.pixels[order], self.ids[texts], self.mask[texts], self.concepts[order], self.text_concepts[texts]
        )
