"""Bodies of requests and answers. `/docs` and the client are made from these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

if TYPE_CHECKING:  # the client reads this file too, and does without the index
    from app.catalog import Record
    from app.store import Added, Hit

MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_TEXT = 1000

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="How many at most.")]
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET, description="How many of the best results to leave out.")]
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    Field(description="What the pictures should show, in words.", examples=["a red apple"]),
]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Names the kind of problem, for programs.")
    title: str
    status: int
    detail: str = Field(description="A sentence for people.")


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
    total: int = Field(description="Pictures in the gallery.")


class ListQuery(BaseModel):
    """Which part of the gallery to list."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 50
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class PictureQuery(BaseModel):
    """A picture to search with: one that is in the gallery, or its bytes."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(None, description="Of a picture in the gallery.")
    base64: str | None = Field(None, description="The bytes of a picture; a data URI is fine too.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.id is None) == (self.base64 is None):
            raise ValueError("give either id or base64")
        return self


class SearchWindow(BaseModel):
    """Which part of the results to answer."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 10
    offset: Offset = 0


class SearchBody(SearchWindow):
    """A search by words or by a picture."""

    text: Text | None = None
    image: PictureQuery | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.image is None):
            raise ValueError("give either text or image")
        return self


class SearchQuery(SearchWindow):
    """A search by words, in the address."""

    q: Text


class Result(BaseModel):
    """A picture that was found."""

    id: str
    score: float = Field(description="Cosine similarity of query and picture, -1 to 1.")
    metadata: dict[str, Any]
    width: int
    height: int
    content_url: str
    thumbnail_url: str

    @classmethod
    def of(cls, hit: Hit) -> Self:
        record = hit.record
        # The version makes the address of other bytes another one, so that browsers may keep these for good.
        base, version = f"/v1/images/{quote(record.id)}", record.sha256[:12]
        return cls(
            id=record.id,
            score=round(hit.score, 6),
            metadata=record.metadata,
            width=record.width,
            height=record.height,
            content_url=f"{base}/content?v={version}",
            thumbnail_url=f"{base}/thumbnail?v={version}",
        )


class SearchAnswer(BaseModel):
    """The pictures nearest to the query, best first."""

    results: list[Result]
    took_ms: float
    exact: bool = Field(description="Whether these are certainly the nearest ones.")


class Progress(BaseModel):
    """How much of something is done."""

    done: int = 0
    total: int = 0


class LiveAnswer(BaseModel):
    """The process runs."""

    status: Literal["alive"] = "alive"


class ReadyAnswer(BaseModel):
    """Whether everything is there, and what is still under way."""

    status: Literal["ready", "starting", "failed"]
    detail: str = Field(description="What is being done now, as a sentence.")
    model: str | None = Field(description="Name of the model, once it is loaded.")
    images: int = Field(description="Pictures in the gallery.")
    demo: Progress = Field(description="Of adding the demo gallery.")


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Image.model_fields}
