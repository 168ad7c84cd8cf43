"""Records of pictures, and requests for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.fields import FILTER, Limit
from app.schemas.problem import Problem

if TYPE_CHECKING:  # the client reads this file too, and does without the index
    from app.gallery.store import Added
    from app.storage.catalog import Record


class Image(BaseModel):
    """A picture in the gallery."""

    id: str
    sha256: str = Field(description="Of the original bytes.")
    width: int = Field(description="Pixels, upright.")
    height: int
    content_type: str
    bytes: int
    created_at: str = Field(description="RFC 3339, UTC.")
    metadata: dict[str, Any]

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls(**_fields(record))


class AddedImage(Image):
    """A picture after an upload."""

    duplicate: bool = Field(description="The same bytes were there before; this is their record.")

    @classmethod
    def of_added(cls, added: Added) -> Self:
        return cls(**_fields(added.record), duplicate=added.duplicate)


class FailedFile(BaseModel):
    """A file of an upload that could not be added."""

    filename: str | None
    problem: Problem


class AddAnswer(BaseModel):
    """What became of an upload. Each file succeeds or fails for itself."""

    images: list[AddedImage]
    errors: list[FailedFile]


class ListAnswer(BaseModel):
    """A page of the gallery, newest first."""

    images: list[Image]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")
    total: int = Field(description="Pictures in the gallery; with a filter, those that match it.")


class ListQuery(BaseModel):
    """Which part of the gallery to list."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 50
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    filter: str | None = Field(None, description=f"{FILTER} A JSON object.", examples=['{"year": {"$gte": 2020}}'])


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Image.model_fields}
