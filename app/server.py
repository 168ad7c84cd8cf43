"""The service as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app.admission import Door
from app.head import HeadAsGet
from app.lane import Encoder
from app.problems import install_problems
from app.routes import health, images, page, search
from app.security import BodyLimit, SameOriginWrites, SecurityHeaders
from app.settings import Settings
from app.startup import Startup

_UPLOADS_AT_A_TIME = 8
_SEARCHES_AT_A_TIME = 16


def create_app(settings: Settings, encoder: Encoder | None = None) -> FastAPI:
    """The service for a data folder. It loads the model itself, after it has started, unless it is given one."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        startup: Startup = app.state.startup
        startup.start()
        try:
            yield
        finally:
            await run_in_threadpool(startup.close)

    app = FastAPI(
        title="Parallax",
        version="1",
        description="Search pictures by words and by pictures.",
        lifespan=lifespan,
        form_limits={"max_part_size": settings.max_upload_bytes},  # metadata of many files; the body has its own limit
        docs_url=None,  # routes/page.py serves it without other hosts
        redoc_url=None,
    )
    app.state.startup = Startup(settings, encoder)
    # Uploads and searches have a door each, so that neither waits in the other's queue.
    app.state.uploads = Door(workers=_UPLOADS_AT_A_TIME, queue=settings.queue)
    app.state.searches = Door(workers=_SEARCHES_AT_A_TIME, queue=settings.queue)
    install_problems(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes)
    app.add_middleware(SameOriginWrites)
    app.add_middleware(SecurityHeaders)
    for module in (images, search, health, page):
        app.include_router(module.router)
    return app
