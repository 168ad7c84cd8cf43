"""Activation checkpointing (Chen et al. 2016): what happens inside a block is computed again in the backward pass.

Of each block only the input is held, for about a third more computation.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from training.loop.blocks import blocks
from training.loop.running_statistics import RunningStatistics


def recompute_activations(tower: nn.Module) -> None:
    """Have every block of a tower forget its activations; gradients and running statistics stay what they were."""
    for block in blocks(tower):
        contexts = partial(_contexts, RunningStatistics(block))
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=contexts)


def _contexts(statistics: RunningStatistics) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _kept(statistics)


@contextmanager
def _kept(statistics: RunningStatistics) -> Iterator[None]:
    """The second time, the same batch is not to be counted again."""
    before = statistics.read()
    try:
        yield
    finally:  # torch leaves by an exception once it has what it needs
        statistics.write(before)
