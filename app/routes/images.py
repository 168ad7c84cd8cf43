"""/v1/images: add, list, read and delete pictures."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from app.errors import InvalidRequest
from app.filters import read_filter
from app.gallery.gallery import Gallery, Upload
from app.gallery.store import Added, Put
from app.http.body import READ_AS_JSON
from app.http.files import OpenedFile
from app.http.problems import ProblemResponse, headers_of, problem_of
from app.records.metadata import parse_metadata, parse_patch
from app.records.record import Record
from app.routes import OpenFetcher, OpenGallery, SearchDoor, UploadDoor, problems
from app.routes.answers import answered
from app.schemas import AddAnswer, AddedImage, FailedFile, Image, ListAnswer, ListQuery
from app.schemas.uploads import PutForm, UploadForm
from app.security.fetching import Fetcher
from model.errors import ParallaxError

router = APIRouter(prefix="/v1/images", tags=["images"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"description": "The picture", "content": {"image/*": _BINARY}}}
_CREATED: dict[int | str, dict[str, Any]] = {
    200: {"description": "Replaced"},
    201: {"description": "Created", "model": Image},
}
_MERGE = {"schema": {"type": "object"}, "example": {"place": "Oslo"}}
_FILE_OR_URL = {"schema": {"oneOf": [{"required": ["file"]}, {"required": ["url"]}]}}
_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": _FILE_OR_URL}}}
_PATCH = {"application/merge-patch+json": _MERGE, "application/json": _MERGE}
_MULTIPART = Form(media_type="multipart/form-data")


@router.post(
    "",
    status_code=201,
    response_model=AddAnswer,
    responses=problems(400, 409, 413, 415, 429),
    openapi_extra=_FORM,
)
async def add_images(
    gallery: OpenGallery, door: UploadDoor, fetcher: OpenFetcher, form: Annotated[UploadForm, _MULTIPART]
) -> Response | AddAnswer:
    """Add pictures. Each file succeeds or fails for itself; the answer is an error only if all of them failed. Files
    that could not be added in time fail with 503; sent again, they are added.

    A picture whose bytes are there already is not added again: its record is answered with `"duplicate": true`. With an
    `id` of its own it becomes a second record.
    """
    contents = _contents(form, fetcher)
    names = [sent.filename for sent in form.file] if form.file else [form.url]
    if form.id is not None and len(names) != 1:
        raise InvalidRequest(f"An id names one picture, but there are {len(names)}.")
    outcomes = await door.run(_add, gallery, contents, form.metadata, form.id, len(names))
    images = [AddedImage.of_added(one) for one in outcomes if isinstance(one, Added)]
    failures = [(one, name) for name, one in zip(names, outcomes, strict=True) if isinstance(one, ParallaxError)]
    errors = [FailedFile(filename=name, problem=problem_of(error)) for error, name in failures]
    if images:
        return AddAnswer(images=images, errors=errors)
    headers = headers_of(failures[0][0])
    return ProblemResponse(errors[0].problem, headers, errors=[error.model_dump() for error in errors])


def _contents(form: UploadForm | PutForm, fetcher: Fetcher) -> Iterator[bytes]:
    """The bytes of each picture, to be read one after the other."""
    if bool(form.file) == bool(form.url):
        raise InvalidRequest("A picture is sent in the form field file, or fetched from the url; give one of both.")
    return (sent.file.read() for sent in form.file) if form.file else (fetcher.fetch(url) for url in [form.url or ""])


def _add(
    gallery: Gallery, contents: Iterator[bytes], metadata: str | None, image_id: str | None, count: int
) -> list[Added | ParallaxError]:
    each = zip(parse_metadata(metadata, count), contents, strict=True)
    return gallery.add_many(Upload(data, image_id, facts) for facts, data in each)


@router.put("/{id}", response_model=Image, responses=problems(400, 413, 415, 429) | _CREATED, openapi_extra=_FORM)
async def put_image(
    gallery: OpenGallery,
    door: UploadDoor,
    fetcher: OpenFetcher,
    response: Response,
    id: str,  # noqa: A002
    form: Annotated[PutForm, _MULTIPART],
) -> Image:
    """Add a picture under this id, or put it with its metadata in the place of the one that is there.

    What is replaced keeps its place in the list and its `created_at`. If the new picture cannot be read, the old one
    stays.
    """
    done = await door.run(_put, gallery, _contents(form, fetcher), form.metadata, id)
    response.status_code = 201 if done.created else 200
    return Image.of(done.record)


def _put(gallery: Gallery, contents: Iterator[bytes], metadata: str | None, image_id: str) -> Put:
    (facts,) = parse_metadata(metadata, 1)
    return gallery.put(Upload(next(contents), image_id, facts))


@router.patch(
    "/{id}",
    responses=problems(404, 413, 415, 429),
    openapi_extra={"requestBody": {"required": True, "content": _PATCH}},
)
async def patch_image(gallery: OpenGallery, door: UploadDoor, request: Request, id: str) -> Image:  # noqa: A002
    """Change the metadata by a JSON merge patch (RFC 7396): a field that is null goes, an object is merged, anything
    else takes the place of what is there.

    The patch is one of the metadata. Written as in a record, `{"metadata": {…}}` with nothing beside, it is one too.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*_PATCH, *READ_AS_JSON):
        raise HTTPException(415, f"A patch is of the type application/merge-patch+json, not {kind[:100]}.")
    body = await request.body()
    return Image.of(await door.run(lambda: gallery.patch(id, parse_patch(body))))


@router.get("", response_model=ListAnswer, responses=problems(429))
async def list_images(gallery: OpenGallery, door: SearchDoor, query: Annotated[ListQuery, Query()]) -> Response:
    """Page through the gallery, or what a filter leaves of it, newest first.

    Pictures added meanwhile do not shift the pages.
    """
    before = None if query.cursor is None else _read_cursor(query.cursor)

    def page() -> ListAnswer:
        records, total = gallery.page(query.limit + 1, before, read_filter(query.filter))
        return ListAnswer(
            images=[Image.of(record) for record in records[: query.limit]],
            next_cursor=_cursor(records[query.limit - 1]) if len(records) > query.limit else None,
            total=total,
        )

    return await answered(door, page)


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
    record, file = gallery.content(id)
    headers = _kept(request, record, f'"{record.sha256}"')
    if _is_known(request, headers["ETag"]):
        file.close()
        return Response(status_code=304, headers=headers)
    return OpenedFile(file, headers, record.content_type)


@router.get("/{id}/thumbnail", response_class=Response, responses=_PICTURE | problems(404, 429))
async def get_thumbnail(gallery: OpenGallery, door: SearchDoor, request: Request, id: str) -> Response:  # noqa: A002
    """A WebP of at most 256 × 256 pixels, upright, with its transparency."""
    record, small = await run_in_threadpool(gallery.kept_thumbnail, id)
    if small is None:  # as after a backup was put back: it takes decoding the picture
        record, small = await door.run(gallery.thumbnail, id)
    headers = _kept(request, record, f'"{record.sha256}-256"')
    if _is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(small, headers=headers, media_type="image/webp")


def _kept(request: Request, record: Record, etag: str) -> dict[str, str]:
    """How a browser keeps a picture for a year: without asking where the address names these bytes, else by asking each
    time whether it is still the one (RFC 9111, 5.2.2.4)."""
    known = request.query_params.get("v") == record.version
    return {"ETag": etag, "Cache-Control": f"private, max-age=31536000, {'immutable' if known else 'no-cache'}"}


def _is_known(request: Request, etag: str) -> bool:
    """Whether the client says that it holds this version (RFC 9110, 13.1.2: compared weakly)."""
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


@router.delete("/{id}", status_code=204, responses=problems(404, 429))
async def delete_image(gallery: OpenGallery, door: UploadDoor, id: str) -> None:  # noqa: A002
    """Remove a picture. When this is answered, no search finds it any more."""
    await door.run(gallery.delete, id)
