"""Fields that several requests have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_TEXT = 1000
MAX_DIM = 65_536
MAX_WEIGHT = 100

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="How many at most.")]
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET, description="How many of the best results to leave out.")]
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    Field(description="What the pictures should show, in words.", examples=["a red apple"]),
]
Vector = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]],
    Field(
        min_length=1,
        max_length=MAX_DIM,
        description="A vector of this model, of any length but zero, such as `/v1/embeddings` gives.",
    ),
]
Weight = Annotated[
    float,
    Field(
        ge=-MAX_WEIGHT,
        le=MAX_WEIGHT,
        allow_inf_nan=False,
        description="How much this part counts; a negative weight pushes away.",
    ),
]
MinRelevance = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False, description="Leave out results of less relevance than this.")
]
FILTER = (
    "Conditions on the metadata, as in MongoDB: `{field: value}`, or `{field: {operator: value}}` with `$eq`, `$ne`,"
    " `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$exists`, `$not`; and `$and`, `$or`, `$nor`, `$not` of conditions."
    " A field may be a path with dots."
)
FILTER_EXAMPLES = [{"album": "Norway", "year": {"$gte": 2020}}]
Filter = Annotated[dict[str, Any], Field(description=FILTER, examples=FILTER_EXAMPLES)]


class PictureQuery(BaseModel):
    """A picture in a request: one that is in the gallery, its bytes, or where it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1, "maxProperties": 1})

    id: str | None = Field(None, description="Of a picture in the gallery.")
    base64: str | None = Field(None, description="The bytes of a picture; a data URI is fine too.")
    url: str | None = Field(None, description="Where to fetch a picture, if this service is set up to.")

    @model_validator(mode="after")
    def _one(self) -> PictureQuery:
        if sum(way is not None for way in (self.id, self.base64, self.url)) != 1:
            raise ValueError("give one of id, base64 and url")
        return self
