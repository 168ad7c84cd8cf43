"""/v1/images: add, list, read and delete pictures."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse

from app.admission import Door
from app.catalog import Record
from app.errors import InvalidRequest
from app.gallery import Gallery, Upload
from app.metadata import parse_metadata
from app.problems import ProblemResponse, problem_of
from app.routes import OpenGallery, problems
from app.schemas import AddAnswer, AddedImage, FailedFile, Image, ListAnswer, ListQuery
from app.store import Added
from model.errors import ParallaxError

router = APIRouter(prefix="/v1/images", tags=["images"])

# The address of a picture carries the version of its bytes, so a browser never needs to ask again.
_KEEP = "private, max-age=31536000, immutable"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"description": "The picture", "content": {"image/*": _BINARY}}}


def _door(request: Request) -> Door:
    door: Door = request.app.state.uploads
    return door


@router.post("", status_code=201, response_model=AddAnswer, responses=problems(400, 409, 413, 415, 429))
async def add_images(
    gallery: OpenGallery,
    door: Annotated[Door, Depends(_door)],
    file: Annotated[list[UploadFile], File(description="One or more pictures.")],
    metadata: Annotated[str | None, Form(description="A JSON object for all files, or an array with one each.")] = None,
    id: Annotated[str | None, Form(description="A name for a single file; made here if left out.")] = None,  # noqa: A002
) -> Response | AddAnswer:
    """Add pictures. Each file succeeds or fails for itself; the answer is an error only if all of them failed.

    A picture whose bytes are there already is not added again: its record is answered with `"duplicate": true`. With an
    `id` of its own it becomes a second record.
    """
    if id is not None and len(file) != 1:
        raise InvalidRequest(f"An id names one file, but there are {len(file)}.")
    outcomes = await door.run(_add, gallery, file, metadata, id)
    images = [AddedImage.of_added(one) for one in outcomes if isinstance(one, Added)]
    failures = [
        (one, sent.filename) for sent, one in zip(file, outcomes, strict=True) if isinstance(one, ParallaxError)
    ]
    errors = [FailedFile(filename=filename, problem=problem_of(error)) for error, filename in failures]
    if images:
        return AddAnswer(images=images, errors=errors)
    return ProblemResponse(errors[0].problem, errors=[error.model_dump() for error in errors])


def _add(
    gallery: Gallery, files: Sequence[UploadFile], metadata: str | None, image_id: str | None
) -> list[Added | ParallaxError]:
    each = zip(files, parse_metadata(metadata, len(files)), strict=True)
    return gallery.add_many(Upload(sent.file.read(), image_id, facts) for sent, facts in each)


@router.get("", responses=problems())
def list_images(gallery: OpenGallery, query: Annotated[ListQuery, Query()]) -> ListAnswer:
    """Page through the gallery, newest first. Pictures added meanwhile do not shift the pages."""
    before = None if query.cursor is None else _read_cursor(query.cursor)
    records = gallery.newest(query.limit + 1, before)
    return ListAnswer(
        images=[Image.of(record) for record in records[: query.limit]],
        next_cursor=_cursor(records[query.limit - 1]) if len(records) > query.limit else None,
        total=len(gallery),
    )


def _cursor(last: Record) -> str:
    return base64.urlsafe_b64encode(last.key.to_bytes(8)).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> int:
    try:
        key = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 8 or key[0] > 127:
        raise InvalidRequest("This cursor was not made here. Take next_cursor from the page before, as it is.")
    return int.from_bytes(key)


@router.get("/{id}", responses=problems(404))
def get_image(gallery: OpenGallery, id: str) -> Image:  # noqa: A002
    """The record of a picture."""
    return Image.of(gallery.get(id))


@router.get("/{id}/content", response_class=Response, responses=_PICTURE | problems(404))
def get_content(gallery: OpenGallery, request: Request, id: str) -> Response:  # noqa: A002
    """The original bytes."""
    record = gallery.get(id)
    headers = {"ETag": f'"{record.sha256}"', "Cache-Control": _KEEP}
    if _is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return FileResponse(gallery.content(record), headers=headers, media_type=record.content_type)


@router.get("/{id}/thumbnail", response_class=Response, responses=_PICTURE | problems(404))
def get_thumbnail(gallery: OpenGallery, request: Request, id: str) -> Response:  # noqa: A002
    """A WebP of at most 256 × 256 pixels, upright, with its transparency."""
    record = gallery.get(id)
    headers = {"ETag": f'"{record.sha256}-256"', "Cache-Control": _KEEP}
    if _is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(gallery.thumbnail(record), headers=headers, media_type="image/webp")


def _is_known(request: Request, etag: str) -> bool:
    """Whether the client says that it holds this version (RFC 9110, 13.1.2: compared weakly)."""
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


@router.delete("/{id}", status_code=204, responses=problems(404))
def delete_image(gallery: OpenGallery, id: str) -> None:  # noqa: A002
    """Remove a picture. When this is answered, no search finds it any more."""
    gallery.delete(id)
