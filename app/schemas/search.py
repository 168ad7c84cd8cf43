"""Searches and what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from app.schemas.fields import FILTER, Filter, Limit, MinRelevance, Offset, PictureQuery, Text, Vector, Weight
from app.schemas.forms import File, FromJson

if TYPE_CHECKING:  # the client reads this file too, and does without the index
    from app.gallery.gallery import Match

MAX_PARTS = 32

_PARTS = ("text", "image", "vector")
_WAYS = (*_PARTS, "query")


def _required(*names: str) -> list[JsonValue]:
    """One of these fields, for the documentation."""
    return [{"required": [name]} for name in names]


class QueryPart(BaseModel):
    """One part of a query: words, a picture or a vector, and how much it counts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": _required(*_PARTS)})

    text: Text | None = None
    image: PictureQuery | None = None
    vector: Vector | None = None
    weight: Weight = 1.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, way) is not None for way in _PARTS) != 1:
            raise ValueError("give one of text, image and vector; each makes a part of its own")
        return self


Query = Annotated[
    list[QueryPart],
    Field(
        min_length=1,
        max_length=MAX_PARTS,
        description="Parts that are added up: more of what has a positive weight, less of what has a negative one.",
        examples=[[{"text": "sketch of a cat"}, {"text": "cartoon", "weight": -0.5}]],
    ),
]


class SearchWindow(BaseModel):
    """Which part of the results to answer."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 10
    offset: Offset = 0
    min_relevance: MinRelevance | None = None


class SearchBody(SearchWindow):
    """A search by words, by a picture, by a vector, or by several of them."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _required(*_WAYS)})

    text: Text | None = None
    image: PictureQuery | None = None
    vector: Vector | None = None
    query: Query | None = None
    filter: Filter | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, way) is not None for way in _WAYS) != 1:
            raise ValueError("give one of text, image, vector and query; query combines several")
        return self


class SearchForm(SearchWindow):
    """The same as a form, there with a file."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _required("file", *_WAYS)})

    file: File | None = Field(None, description="A picture to search with. With `query` it is one more part of it.")
    text: Text | None = None
    image: Annotated[PictureQuery, FromJson] | None = None
    vector: Annotated[Vector, FromJson] | None = None
    query: Annotated[Query, FromJson] | None = None
    filter: Annotated[Filter, FromJson] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [way for way in ("file", *_WAYS) if getattr(self, way) is not None]
        if len(given) != 1 and given != ["file", "query"]:
            raise ValueError(
                "give one of file, text, image, vector and query, or file and query; query combines several"
            )
        return self


class SearchQuery(SearchWindow):
    """A search by words, in the address."""

    q: Text
    filter: str | None = Field(None, description=f"{FILTER} A JSON object.", examples=['{"year": {"$gte": 2020}}'])


class Result(BaseModel):
    """A picture that was found."""

    id: str
    score: float = Field(description="Cosine similarity of query and picture, -1 to 1.")
    relevance: float = Field(
        ge=0, le=1, description="How likely the picture is what was asked for; one cutoff works across queries."
    )
    metadata: dict[str, Any]
    width: int
    height: int
    content_url: str
    thumbnail_url: str

    @classmethod
    def of(cls, match: Match) -> Self:
        record = match.record
        base = f"/v1/images/{quote(record.id)}"
        return cls(
            id=record.id,
            score=round(match.score, 6),
            relevance=round(match.relevance, 4),
            metadata=record.metadata,
            width=record.width,
            height=record.height,
            content_url=f"{base}/content?v={record.version}",
            thumbnail_url=f"{base}/thumbnail?v={record.version}",
        )


class SearchAnswer(BaseModel):
    """The pictures nearest to the query, best first."""

    results: list[Result]
    took_ms: float
    exact: bool = Field(description="Whether these are certainly the nearest ones.")
    recall_estimate: float | None = Field(
        None,
        ge=0,
        le=1,
        description="If they are not: the share of the ten nearest that a search without a filter finds, as it was"
        " measured on this collection; null for a search with a filter.",
    )
