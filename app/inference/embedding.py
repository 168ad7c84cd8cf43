"""Vectors of many inputs, for those who keep them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.errors import InvalidRequest, UnfetchableURL
from app.inference.queries import Source
from app.records.record import Vector, Vectors
from model.errors import ParallaxError, PictureError

WINDOW = 16
"""Inputs that are encoded at a time. A search that comes meanwhile waits for so many, not for all of them."""

Encode = Callable[[Sequence[Source]], Vectors]
Input = Callable[[], Source]
"""Asked for its source when its turn comes: what has to be unpacked or fetched is not held for long."""


class FaultyInput(ParallaxError):
    """One of the inputs is no text or picture that can be encoded."""

    def __init__(self, place: int, fault: ParallaxError) -> None:
        super().__init__(str(fault))
        self.place = place


def embed(encode: Encode, inputs: Sequence[Input]) -> Iterator[Vector]:
    """A vector of unit length for each input, in their order. Raises FaultyInput, or what `encode` raises."""
    for start in range(0, len(inputs), WINDOW):
        window = range(start, min(start + WINDOW, len(inputs)))
        yield from _encoded(encode, {place: _source(place, inputs[place]) for place in window})


def _source(place: int, one: Input) -> Source:
    try:
        return one()
    except (InvalidRequest, UnfetchableURL) as error:
        raise FaultyInput(place, error) from error


def _encoded(encode: Encode, sources: dict[int, Source]) -> Vectors:
    """(n, dim)"""
    try:
        return encode(list(sources.values()))
    except PictureError as error:
        for place, source in sources.items():  # whose fault is it?
            if len(sources) == 1:
                raise FaultyInput(place, error) from error
            _encoded(encode, {place: source})
        raise
