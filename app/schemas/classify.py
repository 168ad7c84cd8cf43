"""Zero-shot classification: which of some labels fits a picture."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.records.json_text import read_json
from app.schemas.fields import PictureQuery, Text
from app.schemas.forms import File, FromJson

MAX_LABELS = 1000


def _distinct(labels: list[str]) -> list[str]:
    seen = set()
    for label in labels:
        if label in seen:
            raise ValueError(f"{label!r} is there twice; it would share its probability with itself")
        seen.add(label)
    return labels


def _listed(value: object) -> object:
    """The labels of a form: the field repeated, a JSON array, or texts between commas."""
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], str):
        return value
    (text,) = value
    return read_json(text) if text.lstrip().startswith("[") else text.split(",")


Labels = Annotated[
    list[Text],
    Field(
        min_length=1,
        max_length=MAX_LABELS,
        description="What the picture may show, in words.",
        examples=[["a cat", "a dog", "a bird"]],
    ),
    AfterValidator(_distinct),  # which is only to see as many as are allowed
]
Template = Annotated[
    str,
    Field(max_length=200, description="The sentence that a label stands in, at `{}`.", examples=["a photo of a {}"]),
]


class _Template(BaseModel):
    model_config = ConfigDict(extra="forbid")

    template: Template = "{}"

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.template.count("{}") != 1:
            raise ValueError("template: the label needs one place, {}")
        return self


class ClassifyBody(_Template):
    """A picture, and the labels to choose from."""

    image: PictureQuery
    labels: Labels


class ClassifyForm(_Template):
    """The same as a form, there with a file."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["file"]}, {"required": ["image"]}]})

    file: File | None = Field(None, description="The picture.")
    image: Annotated[PictureQuery, FromJson] | None = None
    labels: Annotated[Labels, BeforeValidator(_listed)]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.image is None):
            raise ValueError("give either file or image")
        return self


class Label(BaseModel):
    """A label, and how well it fits."""

    label: str
    probability: float = Field(ge=0, le=1, description="Of this label, if it is exactly one of them; they add up to 1.")
    score: float = Field(description="Cosine similarity of label and picture, -1 to 1.")


class ClassifyAnswer(BaseModel):
    """The labels, best first."""

    results: list[Label]
    took_ms: float
