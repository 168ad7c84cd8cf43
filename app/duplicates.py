"""Pictures that look the same."""

from __future__ import annotations

from app.record import Vectors

SAME = 0.999
"""Cosine from which on the model cannot tell pictures apart. Of the 1,947 pictures of the demo gallery 2 % have another
one so near, and those are the same drawing; at the 0.94 of clip-retrieval's back end it would be 22 %."""


def distinct(vectors: Vectors) -> list[int]:
    """The places of the vectors (n, dim) that are not the same as one before them."""
    same = vectors @ vectors.T >= SAME  # (n, n)
    kept: list[int] = []
    for place, like in enumerate(same):
        if not like[kept].any():
            kept.append(place)
    return kept
