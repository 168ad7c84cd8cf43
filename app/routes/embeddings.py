"""/v1/embeddings, as OpenAI's API has it: vectors of texts, and of pictures beside."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError

from app.admission.door import Door
from app.gallery.gallery import Gallery
from app.http.body import Body
from app.http.data_uri import picture_bytes
from app.inference.embedding import FaultyInput, embed
from app.inference.queries import SentPicture, Source, Words
from app.records.record import Vector
from app.routes import OpenFetcher, OpenGallery
from app.schemas.dialects import OpenAIError
from app.schemas.embeddings import Embedding, EmbeddingInput, EmbeddingsAnswer, EmbeddingsBody, Usage
from app.security.fetching import Fetcher

router = APIRouter(prefix="/v1/embeddings", tags=["compatibility"])

_SCHEMA = {"content": {"application/json": {"schema": EmbeddingsBody.model_json_schema()}}, "required": True}


async def _door(request: Request) -> Door:
    door: Door = request.app.state.embeddings
    return door


@router.post(
    "",
    response_model=EmbeddingsAnswer,
    responses={status: {"model": OpenAIError} for status in (400, 413, 429, 503)},
    openapi_extra={"requestBody": _SCHEMA},
)
async def create_embeddings(
    gallery: OpenGallery, fetcher: OpenFetcher, door: Annotated[Door, Depends(_door)], request: Request
) -> Response:
    """Vectors of texts and pictures, which can be compared with each other.

    A string is always a text; a picture is an object, `{"image": …}` with its bytes in base64, a data URI, or an
    address if this service fetches any.
    """
    answer = await door.run(_answer, gallery, fetcher, await request.body())
    return Response(answer, media_type="application/json")


def _answer(gallery: Gallery, fetcher: Fetcher, content: bytes) -> bytes:
    body = Body(content).checked(EmbeddingsBody, EmbeddingsBody)
    encoder = gallery.encoder
    if body.dimensions not in (None, encoder.dim):
        sentence = f"the vectors of the model {encoder.name} have {encoder.dim} numbers and cannot be made shorter"
        raise RequestValidationError([{"loc": ("body", "dimensions"), "msg": sentence}])
    as_sent = _in_base64 if body.encoding_format == "base64" else _as_numbers
    sources = [partial(_source, fetcher, one) for one in body.input]
    try:
        vectors = [as_sent(vector) for vector in embed(gallery.encode, sources)]
    except FaultyInput as error:
        kind = "text" if body.input[error.place].image is None else "image"
        raise RequestValidationError([{"loc": ("body", "input", error.place, kind), "msg": str(error)}]) from error
    words = sum(len(one.text.split()) for one in body.input if one.text is not None)
    answer = EmbeddingsAnswer(
        data=[Embedding(index=index, embedding=vector) for index, vector in enumerate(vectors)],
        model=encoder.name,
        usage=Usage(prompt_tokens=words, total_tokens=words),
    )
    return answer.model_dump_json().encode()


def _source(fetcher: Fetcher, one: EmbeddingInput) -> Source:
    if one.text is not None:
        return Words(one.text)
    assert one.image is not None  # EmbeddingInput holds one of both
    if one.image.lower().startswith(("http://", "https://")):
        return SentPicture(fetcher.fetch(one.image))
    return SentPicture(picture_bytes(one.image))


def _as_numbers(vector: Vector) -> list[float]:
    numbers: list[float] = vector.tolist()
    return numbers


def _in_base64(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
