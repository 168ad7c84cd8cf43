"""Batch normalisation when a step encodes its batch in parts.

A layer normalises each part, a chunk or a process's share, by that part's own mean and variance; no part waits for
another. What it remembers for inference moves once a step, by the mean over all parts, however many processes share
them: the same parts give the same model.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.loop.ranks import Ranks


class RunningStatistics:
    """The running statistics of all batch normalisation layers of a model, as one vector."""

    def __init__(self, model: nn.Module) -> None:
        layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
        self._buffers: list[Tensor] = [buffer for layer in layers for buffer in layer.buffers()]

    def read(self) -> Tensor:
        """A copy (n,) in float64, which holds the layers' counters exactly too."""
        if not self._buffers:
            return torch.empty(0, dtype=torch.float64)
        return torch.cat([buffer.detach().flatten().double() for buffer in self._buffers])

    def write(self, vector: Tensor) -> None:
        """Put back what `read` gave, behind autograd's back: a gradient in training does not depend on them."""
        parts = vector.split([buffer.numel() for buffer in self._buffers]) if self._buffers else ()
        for buffer, values in zip(self._buffers, parts, strict=True):
            buffer.data.copy_(values.view(buffer.shape))

    def average(self, ranks: Ranks) -> None:
        """Make them the mean over all processes."""
        if self._buffers and ranks.count > 1:
            vector = self.read()
            ranks.add_up([vector])
            self.write(vector / ranks.count)
