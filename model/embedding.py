"""What turns tokens, patches and measurements into vectors, and tells a Transformer where they stand.

B is the batch, T the number of tokens, D the width of a vector.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenEmbedding(nn.Module):
    """Token ids (B, T) → vectors (B, T, D): row `id` of a learned table.

    The entries start with variance 1, so that they weigh as much as the sinusoidal positions added to them; the
    original paper reaches the same by a factor √D (Vaswani et al. 2017, 3.4).
    """

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.vocab_size = vocab_size
        self.weight = nn.Parameter(torch.randn(vocab_size, width))

    def forward(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.weight)


class ContinuousEmbedding(nn.Module):
    """Real numbers (B, T, features), as of a time series or another network → vectors (B, T, D): one linear map."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(features, width)
        nn.init.normal_(self.linear.weight, std=features**-0.5)  # variance 1 out of variance 1
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out


class PatchEmbedding(nn.Module):
    """Pictures (B, C, Y, X) → vectors (B, T, D): cut into squares, row by row, one linear map for all of them.

    Dosovitskiy et al. 2021, equation 1. Y and X are multiples of `patch_size`.
    """

    def __init__(self, channels: int, patch_size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.patch_size = patch_size
        self.linear = ContinuousEmbedding(channels * patch_size**2, width)

    def forward(self, pixels: Tensor) -> Tensor:
        side = self.patch_size
        rows = pixels.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # (B, C, Y / P, P, X / P, P)
        patches = rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, T, C · P · P)
        out: Tensor = self.linear(patches)
        return out


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """A vector for each place (length, D), sines and cosines in turn (Vaswani et al. 2017, 3.5).

    The waves' lengths go from 2π to 10000 · 2π; a shift by some places is the same rotation wherever it starts.
    """
    place = torch.arange(length, dtype=torch.float64)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angles = place * frequency  # (length, ⌈D / 2⌉)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].float()


class Positions(nn.Module):
    """Adds to tokens (B, T, D) the vectors of their places, the first one's being `start`; up to `length` places."""

    table: Tensor  # (length, D)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[1]
        if end > len(self.table):
            raise ValueError(f"{end} tokens, but positions for {len(self.table)}")
        return x + self.table[start:end]


class SinusoidalPositions(Positions):
    """Positions that are computed, not learned."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", sinusoidal_positions(length, width), persistent=False)


class LearnedPositions(Positions):
    """Positions that are parameters; they start as large as sinusoidal ones."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(length, width) * 0.5**0.5)


def interpolate_positions(
    positions: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int], prefix: int = 0
) -> Tensor:
    """Learned positions of a grid of patches, for pictures of another resolution (Dosovitskiy et al. 2021, 3.2).

    `positions` is (…, prefix + rows · columns of the old grid, D), row by row, with the class token and whatever else
    has no place in the picture in the first `prefix` rows, which are kept. Returns (…, prefix + rows · columns of the
    new grid, D), bicubic, and smoothed where the grid shrinks. Raises ValueError where `positions` do not fit the grid.
    """
    tokens, width = positions.shape[-2:]
    if tokens != prefix + old_grid[0] * old_grid[1]:
        raise ValueError(f"{tokens} positions are not a grid of {old_grid[0]} × {old_grid[1]} and {prefix} before it")
    if new_grid == old_grid:
        return positions
    kept, grid = positions.split([prefix, tokens - prefix], dim=-2)
    planes = grid.reshape(-1, *old_grid, width).permute(0, 3, 1, 2)  # (N, D, rows, columns)
    resized = functional.interpolate(planes.float(), new_grid, mode="bicubic", antialias=True, align_corners=False)
    flat = resized.flatten(2).transpose(1, 2).to(positions.dtype)  # (N, rows · columns, D)
    return torch.cat([kept, flat.reshape(*positions.shape[:-2], -1, width)], dim=-2)
