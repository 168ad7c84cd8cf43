"""/v1/search: find pictures by words or by a picture."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from app.admission import Door
from app.errors import InvalidRequest
from app.gallery import Gallery
from app.routes import OpenGallery, problems
from app.schemas import PictureQuery, Result, SearchAnswer, SearchBody, SearchQuery, SearchWindow
from app.store import Hit

router = APIRouter(prefix="/v1/search", tags=["search"])

Body = TypeVar("Body", bound=BaseModel)


def _door(request: Request) -> Door:
    door: Door = request.app.state.searches
    return door


SearchDoor = Annotated[Door, Depends(_door)]


@router.get("", responses=problems(429))
async def search_by_words(
    gallery: OpenGallery, door: SearchDoor, query: Annotated[SearchQuery, Query()]
) -> SearchAnswer:
    """Find pictures that show what the words say."""
    return await _answer(door, lambda: gallery.search_text(query.q, query.limit, query.offset))


def _schema() -> dict[str, Any]:
    """The body of a search for the documentation: the same fields in JSON or as a form, there with a file."""
    body, form = SearchBody.model_json_schema(), SearchBody.model_json_schema()
    for schema in (body, form):
        del schema["$defs"]
    body["properties"]["image"] = PictureQuery.model_json_schema()
    form["properties"]["file"] = {"type": "string", "format": "binary", "description": "A picture to search with."}
    del form["properties"]["image"]
    contents = {"application/json": {"schema": body}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": contents}}


@router.post("", responses=problems(400, 404, 413, 415, 429), openapi_extra=_schema())
async def search(gallery: OpenGallery, door: SearchDoor, request: Request) -> SearchAnswer:
    """Find pictures by words, by a picture that is in the gallery, or by a picture that is sent along.

    A picture of the gallery is itself the first result of a search with its id.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=8) as form:
            return await _answer(door, lambda: _by_form(gallery, dict(form)))
    body = await request.body()
    return await _answer(door, lambda: _by_json(gallery, body))


async def _answer(door: Door, search: Callable[[], list[Hit]]) -> SearchAnswer:
    began = time.perf_counter()
    results = await door.run(lambda: [Result.of(hit) for hit in search()])
    took_ms = round((time.perf_counter() - began) * 1000, 3)
    return SearchAnswer(results=results, took_ms=took_ms, exact=True)


def _by_json(gallery: Gallery, body: bytes) -> list[Hit]:
    try:
        return _by_body(gallery, SearchBody.model_validate_json(body))
    except ValidationError as error:
        raise _invalid(error) from None


def _by_form(gallery: Gallery, fields: dict[str, UploadFile | str]) -> list[Hit]:
    if "file" not in fields:
        return _by_body(gallery, _validated(SearchBody, fields))
    sent = fields.pop("file")
    if isinstance(sent, str):
        raise InvalidRequest("The form field file holds no file.")
    window = _validated(SearchWindow, fields)
    return gallery.search_picture(sent.file.read(), window.limit, window.offset)


def _by_body(gallery: Gallery, body: SearchBody) -> list[Hit]:
    if body.text is not None:
        return gallery.search_text(body.text, body.limit, body.offset)
    assert body.image is not None  # SearchBody and PictureQuery hold one thing each
    if body.image.id is not None:
        return gallery.search_like(body.image.id, body.limit, body.offset)
    assert body.image.base64 is not None
    return gallery.search_picture(_bytes_of(body.image.base64), body.limit, body.offset)


def _validated(model: type[Body], fields: dict[str, Any]) -> Body:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> RequestValidationError:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])


def _bytes_of(text: str) -> bytes:
    """Base64, or a data URI of it, with or without its padding."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The picture in base64 is not valid base64.") from None
