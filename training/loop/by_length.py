"""Texts of a batch encoded with those of about their own length: most are short, and the longest sets the padding."""

from collections.abc import Callable

import torch
from torch import Tensor

_ROWS = 256
"""Texts of a group: fewer waste less padding, and too few waste the threads."""


def by_length(encode: Callable[[Tensor, Tensor], Tensor], ids: Tensor, mask: Tensor) -> Tensor:
    """What `encode` makes of token ids (B, T) and their mask (B, T), True on real tokens, which stand first: (B, D).

    Groups of rows are cut to their longest text. For an encoder that padding does not change, the result is that of
    one call, up to rounding.
    """
    lengths = mask.sum(dim=1)
    order = lengths.argsort(stable=True)
    parts = [encode(ids[rows, :longest], mask[rows, :longest]) for rows, longest in _groups(order, lengths)]
    return torch.cat(parts)[order.argsort()]


def _groups(order: Tensor, lengths: Tensor) -> list[tuple[Tensor, int]]:
    """(rows, length of their longest text), from short to long."""
    return [(rows, max(1, int(lengths[rows[-1]]))) for rows in order.split(_ROWS)]
