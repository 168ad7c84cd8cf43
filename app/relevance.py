"""How likely a picture is what was asked for, 0 to 1, so that one cutoff works across queries.

A cosine does not say so: what is high for one query is low for another, and pictures are nearer to pictures than to
words. So a cosine is judged by how far it stands out among the query's cosines over the collection, its background.
How far is far enough belongs to the model: `training evaluate` fits it on held-out data, and the model folder brings it
as a calibration. A folder without one, such as an imported checkpoint, is judged by `Uncalibrated`.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from app.lane import Encoder

Kind = Literal["text", "image"]
"""Of a query: words only, or with a picture or a vector in it."""
Cosines = NDArray[np.float32]
Probabilities = NDArray[np.floating]

BACKGROUND = 1000
"""Pictures whose cosines make a background; of a larger collection, a sample that is the same for the next page."""


class Calibration(Protocol):
    """What a model folder brings; `encoder.calibration` is one, or None."""

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines) -> Probabilities:
        """That each of the pictures with these cosines (n,) is what was asked for: (n,), 0 to 1.

        Must not fall while the cosine grows, nor depend on the other cosines. `background` (m,) holds the query's
        cosines over the collection, relevant pictures included; m may be 0.
        """


class Uncalibrated:
    """Judges by a normal background: three standard deviations above it, a picture is as likely relevant as not.

    Centre and spread are told from the lower half of the background, where relevant pictures are not. A collection of
    few pictures says little about either, so they are joined by fifty unrelated pictures as published models see them.
    """

    _STEEPNESS, _EVEN = 2.0, 3.0
    _JOINED = 50
    _TYPICAL = {"text": (0.15, 0.04), "image": (0.5, 0.12)}  # noqa: RUF012
    """Mean and deviation of the cosine of unrelated pairs, of OpenAI's and open_clip's models."""

    def __init__(self, logit_scale: float, logit_bias: float) -> None:
        """A model that was trained with sigmoids says itself where a pair is as likely a match as not: where its logit
        is 0. One that was trained with a softmax has no bias and does not say."""
        self._narrowest = 1 / max(logit_scale, 1.0)  # a difference of one logit
        self._typical = dict(self._TYPICAL)
        if logit_bias and logit_scale > 0:
            _, deviation = self._typical["text"]
            self._typical["text"] = (-logit_bias / logit_scale - self._EVEN * deviation, deviation)

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines) -> Probabilities:
        """See Calibration."""
        mean, deviation = self._typical[kind]
        count, joined = len(background), self._JOINED
        low, middle = np.quantile(background, (0.1, 0.4)) if count else (0.0, 0.0)
        spread = (middle - low) / 1.0283  # between these quantiles of a normal distribution, in standard deviations
        centre = middle + 0.2533 * spread
        centre = (count * centre + joined * mean) / (count + joined)
        spread = (count * spread + joined * deviation) / (count + joined)
        standing = (cosines - centre) / max(spread, self._narrowest)
        logit = self._STEEPNESS * (standing - self._EVEN)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


def calibration_of(encoder: Encoder) -> Calibration:
    """That of its model folder, or a sensible one."""
    own: Calibration | None = getattr(encoder, "calibration", None)
    return Uncalibrated(encoder.logit_scale, encoder.logit_bias) if own is None else own
