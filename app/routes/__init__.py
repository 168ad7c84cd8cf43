"""The routes of the service. Each turns a request into one call of the gallery, and the outcome into an answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from app.gallery import Gallery
from app.schemas import Problem


def _gallery(request: Request) -> Gallery:
    gallery: Gallery = request.app.state.startup.gallery
    return gallery


OpenGallery = Annotated[Gallery, Depends(_gallery)]
"""Parameter of a route: the gallery, or the answer 503 while it is not open yet."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the documentation of a route: the problems that it may answer."""
    schema = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": "Problem", "content": schema} for status in {*statuses, 422, 503}}
