"""What a configuration says of data on disk: columns of tables, and how a stream is shuffled and varied."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from model.config import Section

Kind = Literal["memory", "stream"]


class ColumnsSection(Section):
    """Names of a table's columns, where they are not the usual ones."""

    picture: str | None = Field(None, description="path of the picture, from the table's folder on, or its bytes")
    caption: str | None = Field(None, description="what the picture shows, one text or a list of them")
    tags: str | None = Field(None, description="keywords, a list or with commas")
    concept: str | None = Field(None, description="pictures of the same concept are positives of each other's captions")
    style: str | None = Field(None, description="manner of drawing, by which evaluations are split")


class StreamSection(Section):
    """How pictures that are read from disk while training are shuffled, decoded and varied."""

    workers: NonNegativeInt | None = Field(
        None, description="processes that decode, for each that trains: half of the cores unless set; 0 is a thread"
    )
    buffer: PositiveInt = Field(16_384, description="samples among which the order is random, beside that of the parts")
    crop_area: tuple[float, float] = Field((0.5, 1.0), description="share of the picture's area that is seen")
    crop_aspect: tuple[float, float] = Field(
        (0.75, 4 / 3), description="aspect of what is seen, over the picture's own"
    )
    flip: float = Field(0.0, ge=0, le=1, description="share mirrored; captions may say left and right, signs have text")
    light: float = Field(0.2, ge=0, lt=1, description="most that brightness, contrast and saturation each are changed")

    @field_validator("crop_area", "crop_aspect")
    @classmethod
    def _from_low_to_high(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ends[0] <= ends[1]:
            raise ValueError("the first has to be above 0 and not above the second")
        return ends

    @field_validator("crop_area")
    @classmethod
    def _of_the_whole(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[1] > 1:
            raise ValueError("a share of the area is not above 1")
        return ends
