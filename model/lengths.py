"""Texts by their length: the text tower computes for tokens that are there, and as little padding as can be.

Padding behind a text changes nothing of its vector, unless the tower reads its padding (`TextConfig.reads_padding`), as
SigLIP's does: then it has to be there, always as much. CLIP's tower looks back only and is read at the end token, so a
query of eight words is ten tokens, where other implementations compute 77.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_STEP = 4
"""Lengths are multiples of it, so that shapes repeat: the runtime prepares itself for each when it first comes."""


def padded(
    ids: NDArray[np.int64], mask: NDArray[np.bool_], pad_id: int, longest: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids and mask (n, T) with padding behind them, up to the next length that is used, at most `longest`."""
    missing = min(-(-ids.shape[1] // _STEP) * _STEP, longest) - ids.shape[1]
    behind = ((0, 0), (0, max(0, missing)))
    return np.pad(ids, behind, constant_values=pad_id), np.pad(mask, behind, constant_values=False)


def batches_by_length(mask: NDArray[np.bool_], most: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """The rows of a mask (n, T), True on real tokens, in batches of at most `most` that have a length in common.

    Each row comes once. Gives the rows, and the length that none of them exceeds; T, or a multiple of a step below it.
    """
    real = mask.shape[1] - mask[:, ::-1].argmax(axis=1)  # (n,), up to the last real token
    lengths = np.minimum(-(-real // _STEP) * _STEP, mask.shape[1])
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for start in range(0, len(rows), most):
            yield rows[start : start + most], int(length)
