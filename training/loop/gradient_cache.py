"""The gradient of a loss over all pairs of a large batch in the memory of a small one (GradCache: Gao et al. 2021).

The loss needs every vector of the batch, but the gradient of a vector is all that its tower needs. So the batch is
encoded in chunks without a graph, the loss gives the gradient of each vector, and each chunk is encoded again with its
graph, through which its gradients go. The sum over the chunks is the gradient of the whole batch, exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.loop.running_statistics import RunningStatistics


@dataclass(frozen=True, slots=True)
class Tower:
    """How to encode a chunk, by its number, into vectors (b, D): the same ones every time, whatever is drawn at random.

    `statistics` are those that encoding changes.
    """

    encode: Callable[[int], Tensor]
    statistics: RunningStatistics


def backward(towers: Sequence[Tower], chunks: int, loss: Callable[..., Tensor]) -> Tensor:
    """Add the gradients of `loss` to all parameters; it takes the vectors (B, D) of each tower.

    Returns the loss, a scalar without a graph. One chunk is encoded once, with its graph.
    """
    if chunks == 1:
        value = loss(*(tower.encode(0) for tower in towers))
        value.backward()
        return value.detach()
    encoded = [_encode(tower, chunks) for tower in towers]
    leaves = [torch.cat(vectors).requires_grad_() for vectors in encoded]
    value = loss(*leaves)
    value.backward()
    for tower, vectors, leaf in zip(towers, encoded, leaves, strict=True):
        if leaf.grad is not None:
            _encode_again(tower, leaf.grad.split([len(part) for part in vectors]))
    return value.detach()


@torch.no_grad()
def _encode(tower: Tower, chunks: int) -> list[Tensor]:
    before = tower.statistics.read()
    vectors = [tower.encode(chunk) for chunk in range(chunks)]
    tower.statistics.write(before)
    return vectors


def _encode_again(tower: Tower, gradients: Sequence[Tensor]) -> None:
    before = tower.statistics.read()
    total = torch.zeros_like(before)
    for chunk, gradient in enumerate(gradients):
        tower.statistics.write(before)
        vectors = tower.encode(chunk)
        if not vectors.requires_grad:  # a locked tower, which has no statistics of its own to move either
            return
        vectors.backward(gradient)
        total += tower.statistics.read()
    tower.statistics.write(total / len(gradients))
