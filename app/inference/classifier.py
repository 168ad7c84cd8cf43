"""Zero-shot classification: a picture is what its vector is nearest to (Radford et al. 2021, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.records.record import Vector, Vectors


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well a label fits."""

    label: str
    probability: float
    """Of this label, given that exactly one of them is right."""
    score: float
    """Cosine similarity, -1 to 1."""


def verdicts(labels: Sequence[str], picture: Vector, texts: Vectors, logit_scale: float) -> list[Verdict]:
    """Of each label, best first: `picture` is (dim,), `texts` (n, dim)."""
    scores = (texts @ picture).clip(-1, 1).astype(np.float64)  # (n,)
    odds = np.exp(logit_scale * (scores - scores.max()))
    probabilities = odds / odds.sum()
    order = np.argsort(-scores, kind="stable")
    return [Verdict(labels[place], float(probabilities[place]), float(scores[place])) for place in order]
