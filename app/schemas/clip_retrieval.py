"""The bodies that clip-retrieval's clients send to its back end. What they say beside, it ignores, and so does this."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.fields import MAX_LIMIT, MAX_TEXT, Vector

_Count = Annotated[int, Field(ge=0)]


class KnnBody(BaseModel):
    """A search by the first of these that is given: text, image, image_url, embedding_input."""

    text: str | None = Field(None, max_length=MAX_TEXT, examples=["a red apple"])
    image: str | None = Field(None, description="A picture in base64.")
    image_url: str | None = Field(None, description="Of a picture; fetched only where the service may fetch.")
    embedding_input: Vector | None = None
    modality: Literal["image", "text"] = Field("image", description="Only pictures are indexed here.")
    num_images: _Count = Field(40, description="How many results come with their metadata.")
    num_result_ids: _Count | None = Field(
        None,
        description=f"How many results at most; as many as num_images if left out, and never more than {MAX_LIMIT}.",
    )
    indice_name: str | None = Field(None, description="Any name: there is one index here.")
    deduplicate: bool = Field(False, description="Leave out what the model cannot tell from a better result.")


class KnnResult(BaseModel):
    """A picture that was found, with what its metadata say beside."""

    model_config = ConfigDict(extra="allow")

    id: str
    similarity: float = Field(description="Cosine, -1 to 1.")
    url: Any = Field(None, description="Of the picture; here, if its metadata have no other.")
    caption: Any = None


class MetadataBody(BaseModel):
    """Whose metadata are wanted."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    ids: Annotated[list[str], Field(max_length=MAX_LIMIT)]
    indice_name: str | None = Field(None, description="Any name: there is one index here.")


class PictureMetadata(BaseModel):
    """The metadata of a picture, as a search has them beside `similarity`."""

    id: str
    metadata: dict[str, Any]
