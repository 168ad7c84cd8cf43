"""The precisions in which the fast runtime can compute, and how far each was found to be from float32.

int8 means that matrices are stored in int8, with a scale for each of their outputs, and that what they are multiplied
with is rounded to int8 as it comes, with a scale for every few numbers of each token (dynamic quantisation, token by
token as in ZeroQuant, Yao et al. 2022). No scale is shared between the pictures of a batch, so a picture's vector does
not depend on its neighbours; and none is fixed beforehand, so nothing saturates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from model.config import Section
from model.durable import write_atomic
from model.errors import ModelFolderError
from model.folder import ONNX_PRECISION


@dataclass(frozen=True, kw_only=True, slots=True)
class Precision:
    """How a tower is computed. `arithmetic` is that of everything but the quantised matrices, as OpenVINO names it."""

    name: str
    group: int = 0
    """Numbers of a token that share a scale where they meet an int8 matrix; 0 where no matrix is quantised."""
    arithmetic: Literal["bf16", "f32"]
    whole: tuple[str, ...] = ()
    """Parts of the names of matrices that are not quantised all the same. What an MLP contracts comes from an
    activation: nearly all of it on one side of zero, and so coarsely rounded; it costs more accuracy than any other."""


FLOAT32 = Precision(name="float32", arithmetic="f32")
PRECISIONS = (
    Precision(name="int8", group=256, arithmetic="bf16"),
    Precision(name="int8-mixed", group=64, arithmetic="bf16", whole=("mlp.contract.",)),
    Precision(name="bfloat16", arithmetic="bf16"),
    FLOAT32,
)
"""From the fastest to the safest."""

LEAST_COSINE, LEAST_OVERLAP = 0.999, 0.97
"""What a precision must keep to be chosen."""


class Agreement(Section):
    """How far the vectors of a precision agree with those of the reference in float32."""

    cosine: float = Field(description="the smallest between a vector and the reference's")
    overlap: float = Field(description="mean share of the reference's ten nearest pictures among the ten nearest")

    def __str__(self) -> str:
        return f"cosine to float32 at least {self.cosine:.5f}, top-10 overlap {self.overlap:.3f}"

    @property
    def suffices(self) -> bool:
        """Whether a search would hardly notice."""
        return self.cosine >= LEAST_COSINE and self.overlap >= LEAST_OVERLAP


class TowerPrecision(Section):
    """What a tower runs in, and what led to it."""

    precision: str
    measured: dict[str, Agreement] = Field(description="of each precision that was tried, from the fastest on")


class ChosenPrecisions(Section):
    """`onnx/precision.json`: what was measured and chosen at the export."""

    fingerprint: str = Field(description="of the model that was exported")
    pictures: int = Field(description="how many were measured with")
    texts: int
    source: str = Field(description="of the pictures: shipped, or the name of the user's folder")
    image: TowerPrecision
    text: TowerPrecision

    def write(self, model_dir: Path) -> Path:
        """Into the export of a model folder; returns the file."""
        path = model_dir / ONNX_PRECISION
        write_atomic(path, f"{self.model_dump_json(indent=2)}\n".encode())
        return path


def read_precisions(model_dir: Path, fingerprint: str) -> ChosenPrecisions | None:
    """What was chosen for the weights of this fingerprint; None where the folder tells nothing of them."""
    path = model_dir / ONNX_PRECISION
    if not path.is_file():
        return None
    try:
        chosen = ChosenPrecisions.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelFolderError(f"{path} cannot be used: {error}") from error
    return chosen if chosen.fingerprint == fingerprint else None
