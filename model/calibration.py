"""How likely a picture is what was asked for, so that one cutoff works across queries and collections.

A cosine alone does not say so. The same one means less in a larger collection, where more pictures come near to any
query by chance; and it means less for a query to which everything is near. So the logit of the probability is a sum of
what the cosine is worth, of how far it stands out among the query's cosines over the collection (its background), of
the collection's size and of the background's shape. The weights belong to the model: `training evaluate --calibrate`
fits them on held-out pictures (Platt 1999, with splines) and writes them to `calibration.json` in the model folder.
Slopes are not negative, so that the probability never falls while the cosine grows.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from model.config import Section
from model.durable import write_atomic
from model.errors import ModelFolderError
from model.folder import CALIBRATION

Kind = Literal["text", "image"]
"""Of a query: words only, or with a picture or a vector in it."""
Cosines = NDArray[np.floating]

log = logging.getLogger("parallax")

_LARGEST = math.log(1e6)
"""Of the size of a collection, in logarithm: from here on it makes no difference to the slopes."""
_PRIOR = 20
"""A background counts as so many more pictures of the typical kind: a few say little about centre and spread."""
_QUANTILES = (0.1, 0.4, 0.99)
"""The lower two give centre and spread, since relevant pictures are seldom there; the last one the upper tail."""
_NORMAL = (-1.2816, -0.2533)
"""The lower two of a normal distribution."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Slope = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Background(Section):
    """What is told of a query from its cosines over the collection."""

    centre: Finite = Field(description="about the median cosine of pictures that have nothing to do with the query")
    spread: Positive = Field(description="their standard deviation")
    tail: Finite = Field(description="how far above the centre the uppermost hundredth begins, in spreads")


def measure(cosines: Cosines, typical: Background | None = None) -> Background:
    """The background of a query, of its cosines over the collection or a sample of it (m,), relevant pictures included.

    Few pictures are joined by some of the `typical` kind; without that, m must be at least 2.
    """
    low, middle, high = np.quantile(cosines, _QUANTILES) if len(cosines) else (0.0, 0.0, 0.0)
    spread = (middle - low) / (_NORMAL[1] - _NORMAL[0])
    centre = middle - _NORMAL[1] * spread
    if typical is not None:
        own = len(cosines) / (len(cosines) + _PRIOR)
        centre = own * centre + (1 - own) * typical.centre
        spread = own * spread + (1 - own) * typical.spread
    spread = max(spread, 1e-3 if typical is None else typical.spread / 10)  # of copies of one picture it is none
    tail = (high - centre) / spread
    if typical is not None:
        tail = own * tail + (1 - own) * typical.tail
    return Background(centre=float(centre), spread=float(spread), tail=float(tail))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))


class Curve(Section):
    """From a cosine, its query's background and the collection's size to a probability, for queries of one kind."""

    typical: Background = Field(description="an average background")
    knots: tuple[Finite, ...] = Field((), description="cosines, growing, from which on the slope may be another")
    few: tuple[Slope, ...] = Field((), description="what each knot adds to the slope in a collection of one picture")
    many: tuple[Slope, ...] = Field(
        (), description="the same in a collection of a million; in between, by the logarithm"
    )
    standing: Slope = Field(description="for each spread that the cosine is above the centre")
    size: Finite = Field(description="for the natural logarithm of the collection's size")
    centre: Finite = Field(0.0, description="for the background's centre")
    spread: Finite = Field(0.0, description="for the natural logarithm of the background's spread")
    tail: Finite = Field(0.0, description="for the background's tail")
    intercept: Finite = Field(description="the logit where all else is 0")

    @model_validator(mode="after")
    def _slopes_have_knots(self) -> Self:
        if not len(self.knots) == len(self.few) == len(self.many):
            raise ValueError(f"{len(self.knots)} knots, but {len(self.few)} and {len(self.many)} slopes")
        return self

    def probability(self, cosines: Cosines, background: Cosines, size: int) -> NDArray[np.float64]:
        """See Judge."""
        weights = np.array([*self.few, *self.many, self.standing, self.size, self.centre, self.spread, self.tail])
        told = features(cosines, measure(background, self.typical), size, self.knots)
        return _sigmoid(self.intercept + told @ weights)


def features(
    cosines: Cosines, background: Background, size: int, knots: tuple[float, ...] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a curve weighs, of the pictures with these cosines (n,): (n, 2 k + 5) with k knots.

    In the order of the curve's fields from `few` to `tail`; the first 2 k + 1 grow with the cosine.
    """
    cosines = np.asarray(cosines, np.float64)
    logarithm = math.log(max(size, 1))
    share = min(logarithm / _LARGEST, 1.0)
    above = np.maximum(cosines[:, None] - np.asarray(knots, np.float64), 0)  # (n, k)
    standing = (cosines[:, None] - background.centre) / background.spread
    of_query = [logarithm, background.centre, math.log(background.spread), background.tail]
    same = np.broadcast_to(np.array(of_query), (len(cosines), len(of_query)))
    return np.concatenate([above * (1 - share), above * share, standing, same], axis=1)


_GUESS: Mapping[Kind, Curve] = MappingProxyType(
    {
        "text": Curve(
            typical=Background(centre=0.15, spread=0.04, tail=2.3), standing=1.34, size=-0.98, intercept=-1.95
        ),
        "image": Curve(
            typical=Background(centre=0.5, spread=0.12, tail=2.3), standing=1.30, size=-1.04, intercept=-2.69
        ),
    }
)
"""Typical backgrounds are those of OpenAI's and open_clip's models. The weights were fitted on the shipped model's
held-out searches without a look at the cosine itself, whose scale is each model's own."""


class Judge(Protocol):
    """Says how likely pictures are what was asked for."""

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines, size: int) -> NDArray[np.float64]:
        """That each of the pictures with these cosines (n,) is what was asked for: (n,), 0 to 1.

        It does not fall while the cosine grows, nor depend on the other cosines. `background` (m,) holds the query's
        cosines over the collection of `size` pictures or over a sample of it, relevant pictures included; m may be 0.
        """


class Calibration(Section):
    """What `calibration.json` holds."""

    fingerprint: str = Field(description="of the model whose cosines were looked at")
    data: str = Field(description="what it was fitted on, for people")
    text: Curve = Field(description="for queries of words")
    image: Curve | None = Field(description="for queries with a picture or a vector in them, if there were any")

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines, size: int) -> NDArray[np.float64]:
        """See Judge."""
        curve = (self.text if kind == "text" else self.image) or _GUESS[kind]
        return curve.probability(cosines, background, size)


class Uncalibrated:
    """For a model whose folder has no calibration, as an imported one: a cautious guess.

    A cosine is judged by how far it stands out among the query's others alone, and the collection's size. A model that
    was trained with sigmoids (SigLIP, Zhai et al. 2023) says more of texts: its scale and bias make a probability of a
    cosine, that of a match among the tens of thousands of a batch.
    """

    def __init__(self, scale: float, bias: float) -> None:
        """`scale` and `bias` make the model's logit of a cosine; without a bias it was trained with a softmax."""
        self._scale, self._bias = scale, bias

    def probability(self, kind: Kind, cosines: Cosines, background: Cosines, size: int) -> NDArray[np.float64]:
        """See Judge."""
        if kind == "text" and self._bias and self._scale > 0:
            return _sigmoid(self._scale * np.asarray(cosines, np.float64) + self._bias)
        return _GUESS[kind].probability(cosines, background, size)


def read_calibration(folder: Path, fingerprint: str) -> Calibration | None:
    """That of a model folder; None if it has none or another model's. Raises ModelFolderError if it is damaged."""
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ModelFolderError(f"{path} cannot be used; delete it, or fit it anew: {faults}.") from error
    if calibration.fingerprint != fingerprint:
        log.warning(
            "%s was fitted to another model than the one beside it and is left out; fit it anew: "
            "python -m training evaluate %s DATA --calibrate",
            path,
            folder,
        )
        return None
    return calibration


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Put a calibration into its model's folder."""
    write_atomic(folder / CALIBRATION, f"{calibration.model_dump_json(indent=2)}\n".encode())
