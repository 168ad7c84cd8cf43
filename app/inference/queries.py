"""From what is asked for to one vector: words, pictures and vectors, weighed and added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidRequest
from app.inference.lane import Encoder, Lane, Row
from app.inference.remembered import RememberedTexts
from app.records.record import Vector, Vectors
from model.calibration import Kind

WINDOW = 32
"""Sources that are in the lane at a time: they share batches, and a search that comes meanwhile waits for no more."""

REMEMBERED = 4096
"""Texts whose vectors are remembered: 8 MB of 512 numbers each."""


@dataclass(frozen=True, slots=True)
class Words:
    """What pictures should show."""

    text: str


@dataclass(frozen=True, slots=True)
class SentPicture:
    """A picture that came with the request."""

    data: bytes


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture of the gallery."""

    id: str


@dataclass(frozen=True, slots=True)
class GivenVector:
    """A vector of this model, of any length but zero."""

    numbers: Sequence[float]


Source = Words | SentPicture | KeptPicture | GivenVector


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query."""

    source: Source
    weight: float = 1.0
    """A negative one pushes away."""


@dataclass(frozen=True, slots=True)
class Query:
    """What the index is asked."""

    vector: Vector
    kind: Kind


class QueryEncoder:
    """Makes vectors of sources, through the lane. Any thread may use it."""

    def __init__(
        self, encoder: Encoder, lane: Lane, *, row: Callable[[bytes], Row], kept: Callable[[str], Vector | bytes]
    ) -> None:
        """`row` prepares the bytes of a picture; `kept` gives the vector of one in the gallery, or its bytes."""
        self._encoder, self._lane, self._row, self._kept = encoder, lane, row, kept
        self._remembered = RememberedTexts(REMEMBERED)

    def query(self, parts: Sequence[Part]) -> Query:
        """The parts added up by their weights, as a vector of unit length.

        Raises InvalidRequest if nothing is left of them; and what `vectors` raises.
        """
        weights = np.array([part.weight for part in parts])
        weights /= np.abs(weights).max() or 1  # the smallest numbers there are have no squares
        weighed = self.vectors([part.source for part in parts]) * weights[:, np.newaxis]  # (n, dim)
        words = all(isinstance(part.source, Words) for part in parts)
        total = weighed.sum(axis=0)
        # Rounding leaves about 1e-7 of each part where they cancel out; the direction of that means nothing.
        if np.linalg.norm(total) <= 1e-6 * np.abs(weights).sum():
            raise InvalidRequest("The parts of the query cancel each other out: nothing is left to look for.")
        return Query(_unit(total), "text" if words else "image")

    def vectors(self, sources: Sequence[Source]) -> Vectors:
        """A unit vector of each (n, dim). Raises PictureError, InvalidRequest or NotFound."""
        vectors: list[Vector] = []
        for start in range(0, len(sources), WINDOW):
            begun = [self._begin(source) for source in sources[start : start + WINDOW]]
            vectors += [one.result() if isinstance(one, Future) else one for one in begun]
        return np.stack(vectors)

    def _begin(self, source: Source) -> Future[Vector] | Vector:
        match source:
            case Words(text):
                return self._text(text)
            case SentPicture(data):
                return self._lane.query(self._row(data))
            case KeptPicture(image_id):
                kept = self._kept(image_id)
                return self._lane.query(self._row(kept)) if isinstance(kept, bytes) else kept
            case GivenVector(numbers):
                return self._given(numbers)

    def _text(self, text: str) -> Future[Vector] | Vector:
        model = self._encoder.fingerprint
        known = self._remembered.find(model, text)
        if known is not None:
            return known
        coming = self._lane.text(text)

        def keep(done: Future[Vector]) -> None:
            if not done.cancelled() and done.exception() is None:
                self._remembered.keep(model, text, done.result())

        coming.add_done_callback(keep)
        return coming

    def _given(self, numbers: Sequence[float]) -> Vector:
        if len(numbers) != self._encoder.dim:
            name, dim = self._encoder.name, self._encoder.dim
            raise InvalidRequest(f"The vector has {len(numbers)} numbers, those of the model {name} have {dim}.")
        vector = np.array(numbers, dtype=np.float64)
        if not (largest := np.abs(vector).max()):
            raise InvalidRequest("The vector is zero, which points nowhere.")
        return _unit(vector / largest)  # numbers near the end of their range have no length in that range


def _unit(vector: NDArray[np.floating]) -> Vector:
    return (vector / np.linalg.norm(vector)).astype(np.float32)
