"""How far a batch's vectors are spread over the sphere."""

import torch
from torch import Tensor

_ROWS = 512


def variance(vectors: Tensor) -> Tensor:
    """Mean squared distance of unit vectors (n, D) from their mean: 1 - |mean|², 0 where all are the same → scalar."""
    return 1 - vectors.float().mean(dim=0).square().sum()


def uniformity(vectors: Tensor) -> Tensor:
    """log E exp(-2 |x - y|²) over the pairs of unit vectors (n, D), n ≥ 2 (Wang and Isola 2020, eq. 2) → scalar.

    0 where all are the same, towards -4 where they are spread evenly in many dimensions. Of the first 512 rows.
    """
    rows = vectors[:_ROWS].float()
    distances = (2 - 2 * rows @ rows.T).clamp(min=0)  # (n, n)
    first, second = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    return distances[first, second].mul(-2).exp().mean().log()
