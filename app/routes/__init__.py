"""The routes of the service. Each turns a request into one call of the gallery, and the outcome into an answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from app.admission.door import Door
from app.gallery.gallery import Gallery
from app.schemas import Problem
from app.security.fetching import Fetcher

# These are coroutines though they wait for nothing: FastAPI hands a plain function to a thread, for every request.


async def _gallery(request: Request) -> Gallery:
    gallery: Gallery = request.app.state.startup.gallery
    return gallery


OpenGallery = Annotated[Gallery, Depends(_gallery)]
"""Parameter of a route: the gallery, or the answer 503 while it is not open yet."""


async def _fetcher(request: Request) -> Fetcher:
    fetcher: Fetcher = request.app.state.fetcher
    return fetcher


OpenFetcher = Annotated[Fetcher, Depends(_fetcher)]
"""Parameter of a route: fetches pictures by their address, inside `door.run`."""


async def _searches(request: Request) -> Door:
    door: Door = request.app.state.searches
    return door


async def _uploads(request: Request) -> Door:
    door: Door = request.app.state.uploads
    return door


SearchDoor = Annotated[Door, Depends(_searches)]
"""Parameter of a route: where it has its reading done."""
UploadDoor = Annotated[Door, Depends(_uploads)]
"""Parameter of a route: where it has its writing done."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the documentation of a route: the problems that it may answer."""
    schema = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": "Problem", "content": schema} for status in {*statuses, 422, 503}}
