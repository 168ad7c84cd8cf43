"""Pictures that look the same."""

from __future__ import annotations

from app.records.record import Vectors

SAME = 0.999
"""Cosine from which on the model cannot tell pictures apart. Of the demo gallery 116 pairs are so near: 112 of the same
pixels, and four of flags that people confuse, too. The next are a blue and a light blue heart, at 0.998. Of copies as
JPEG it takes 98 % at quality 95, 92 % at 85. At the 0.94 of clip-retrieval's back end one picture in five would go."""


def distinct(vectors: Vectors) -> list[int]:
    """The places of the vectors (n, dim) that are not the same as one before them."""
    same = vectors @ vectors.T >= SAME  # (n, n)
    kept: list[int] = []
    for place, like in enumerate(same):
        if not like[kept].any():
            kept.append(place)
    return kept
