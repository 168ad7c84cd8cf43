"""The search service. `create_app` makes it; `python -m app` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.inference.lane import Encoder
    from app.settings import Settings


def create_app(settings: Settings, encoder: Encoder | None = None) -> FastAPI:
    """The service as an ASGI application; see `app.server`."""
    from app.server import (
        create_app as create,
    )  # the command line reads this file too, and needs no server for a search

    return create(settings, encoder)
