"""/knn-service, /indices-list, /metadata: what clip-retrieval's back end answers, so that its `ClipClient` works here.

https://github.com/rom1504/clip-retrieval/blob/main/clip_retrieval/clip_back.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.errors import InvalidRequest, NotFound
from app.gallery.gallery import Gallery, Match
from app.http.body import Body
from app.http.data_uri import picture_bytes
from app.inference.queries import GivenVector, KeptPicture, Part, SentPicture, Source, Words
from app.records.duplicates import distinct
from app.records.record import Record, Vector
from app.records.title import title_of
from app.routes import OpenFetcher, OpenGallery, SearchDoor
from app.schemas.clip_retrieval import KnnBody, KnnResult, MetadataBody, PictureMetadata
from app.schemas.dialects import ClipRetrievalError
from app.schemas.fields import MAX_LIMIT
from app.security.fetching import Fetcher

router = APIRouter(tags=["compatibility"])

INDEX = "parallax"
"""The name of the one index there is. Clients say the names of others, which does not matter."""

_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ClipRetrievalError} for status in (400, 413, 429, 503)}


def _takes(body: type[KnnBody] | type[MetadataBody]) -> dict[str, Any]:
    content = {"application/json": {"schema": body.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@router.get("/indices-list")
async def list_indices() -> list[str]:
    """The names of the indices, which is one."""
    return [INDEX]


@router.post("/knn-service", response_model=list[KnnResult], responses=_ERRORS, openapi_extra=_takes(KnnBody))
async def search(gallery: OpenGallery, fetcher: OpenFetcher, door: SearchDoor, request: Request) -> Response:
    """Find pictures by words, by a picture or by a vector.

    A result has the metadata of its picture, `url` and `caption` made up where they lack them. There are no models here
    of beauty, safety or violence; what is said about them is ignored.
    """
    base = str(request.base_url).rstrip("/")
    return await door.run(_search, gallery, fetcher, await request.body(), base)


@router.post("/metadata", response_model=list[PictureMetadata], responses=_ERRORS, openapi_extra=_takes(MetadataBody))
async def get_metadata(gallery: OpenGallery, door: SearchDoor, request: Request) -> Response:
    """The metadata of pictures by their ids. Those that are not there are left out."""
    base = str(request.base_url).rstrip("/")
    return await door.run(_metadata, gallery, await request.body(), base)


def _search(gallery: Gallery, fetcher: Fetcher, content: bytes, base: str) -> Response:
    body = Body(content).checked(KnnBody, KnnBody)
    if body.modality != "image":
        raise InvalidRequest("Only pictures are indexed here, no texts: give image as the modality.")
    source = _source(fetcher, body)
    asked = body.num_images if body.num_result_ids is None else body.num_result_ids
    matches = gallery.search([Part(source)], limit=min(asked, MAX_LIMIT)).matches if asked else []
    if body.deduplicate and matches:
        matches = _distinct(gallery, matches)
    results = [
        (_described(match.record, base) if place < body.num_images else {})
        | {"id": match.record.id, "similarity": round(match.score, 6)}
        for place, match in enumerate(matches)
    ]
    return JSONResponse(results)


def _source(fetcher: Fetcher, body: KnnBody) -> Source:
    if body.text and body.text.strip():
        return Words(body.text.strip())
    if body.image:
        return SentPicture(picture_bytes("".join(body.image.split())))  # as their back end, which takes broken lines
    if body.image_url:
        return SentPicture(fetcher.fetch(body.image_url))
    if body.embedding_input:
        return GivenVector(body.embedding_input)
    raise InvalidRequest("Give one of text, image, image_url and embedding_input.")


def _distinct(gallery: Gallery, matches: Sequence[Match]) -> list[Match]:
    vectors = np.stack([_vector(gallery, match) for match in matches])  # (n, dim)
    return [matches[place] for place in distinct(vectors)]


def _vector(gallery: Gallery, match: Match) -> Vector:
    try:
        vector: Vector = gallery.encode([KeptPicture(match.record.id)])[0]
        return vector
    except NotFound:  # deleted a moment ago; what is zero is like nothing
        return np.zeros(gallery.encoder.dim, np.float32)


def _metadata(gallery: Gallery, content: bytes, base: str) -> Response:
    body = Body(content).checked(MetadataBody, MetadataBody)
    records = [record for image_id in body.ids if (record := _record(gallery, image_id)) is not None]
    return JSONResponse([{"id": record.id, "metadata": _described(record, base)} for record in records])


def _record(gallery: Gallery, image_id: str) -> Record | None:
    try:
        return gallery.get(image_id)
    except NotFound:
        return None


def _described(record: Record, base: str) -> dict[str, Any]:
    address = f"{base}/v1/images/{quote(record.id)}/content?v={record.version}"
    return {"url": address, "caption": title_of(record.metadata)} | record.metadata
