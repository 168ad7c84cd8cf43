"""/v1/models, as OpenAI's API has it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Model(BaseModel):
    """A model that serves."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When this service loaded it: seconds since 1970.")
    owned_by: str = "parallax"
    embedding_size: int = Field(description="Numbers in a vector.")
    fingerprint: str = Field(
        description="Of weights and preprocessing. Only vectors of one fingerprint can be compared."
    )


class ModelsAnswer(BaseModel):
    """All models there are, which is one."""

    object: Literal["list"] = "list"
    data: list[Model]
