"""The order of a stream: endless, random, the same for the same seed, and taken up again at any place.

Each epoch takes the parts in another order. Parts that follow each other make a window of at least `buffer` samples,
and the samples of a window come in random order. Of a data set of any size one window is held, as references; and a
place in the stream is three numbers, since the window at it is made again from its parts.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from training.data.data_set import DataSet, Reference
from training.data.example import DataError

HELD = 256 << 20
"""Bytes of the parts of a window, where a part is held as a whole to read of it."""


class Place(NamedTuple):
    """Where a stream stands: so many samples after the beginning of the window that begins at this part."""

    epoch: int = 0
    part: int = 0
    offset: int = 0


def ordered(
    data: DataSet[Any],
    seed: int,
    buffer: int,
    place: Place = Place(),  # noqa: B008
    damaged: Callable[[str, DataError], None] | None = None,
) -> Iterator[tuple[Reference, Place]]:
    """(sample, the place after it), without end: each epoch has every sample once.

    `damaged` is told the name of each part that cannot be listed to its end, and why; without it, that is raised.
    Raises DataError where there is not one sample in all of the parts.
    """
    epoch, part, offset = place
    if not data.parts:
        raise DataError(f"{data.description}: it holds no samples")
    found = True
    while True:
        order = np.random.default_rng((seed, 0, epoch)).permutation(len(data.parts))
        found = found and part == 0 == offset  # nothing found in half an epoch says nothing
        seen = False
        while part < len(order):
            window, after = _window(data, order, part, buffer, damaged)
            shuffled = np.random.default_rng((seed, 1, epoch, part)).permutation(len(window))
            for number in range(offset, len(window)):
                seen = True
                yield window[shuffled[number]], Place(epoch, part, number + 1)
            part, offset = after, 0
        if found and not seen:
            raise DataError(f"{data.description}: it holds no samples")
        epoch, part, found = epoch + 1, 0, True


def _window(
    data: DataSet[Any],
    order: np.ndarray[Any, Any],
    first: int,
    buffer: int,
    damaged: Callable[[str, DataError], None] | None,
) -> tuple[list[Reference], int]:
    """Samples from the parts that the order has from `first` on, and the place in the order after them."""
    window: list[Reference] = []
    held = 0
    for place in range(first, len(order)):
        part = int(order[place])
        held += data.resident(part)
        if place > first and (len(window) >= buffer or held > HELD):
            return window, place
        try:
            for reference in data.references(part):
                window.append(reference)  # noqa: PERF402  what comes before an error is kept
        except DataError as error:
            if damaged is None:
                raise
            damaged(data.parts[part], error)
    return window, len(order)
