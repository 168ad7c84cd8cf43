"""The service as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app.admission.bodies import BodyLimit, Room
from app.admission.door import Door
from app.admission.presence import Presence
from app.http.access_log import AccessLog
from app.http.authorization import AskForKey
from app.http.browsers import OwnHosts, SameOriginWrites, SecurityHeaders
from app.http.description import install_description
from app.http.forms import FormsInUTF8
from app.http.head import HeadAsGet
from app.http.problems import CatchAll, install_problems
from app.inference.lane import Encoder
from app.routes import classify, clip_retrieval, embeddings, health, images, metrics, models, page, search
from app.security.fetching import Fetcher
from app.security.keys import Keyring
from app.settings import Settings
from app.startup import Startup

_UPLOADS_AT_A_TIME, _UPLOAD_SECONDS = 8, 120
_SEARCHES_AT_A_TIME, _SEARCH_SECONDS = 16, 30
_EMBEDDINGS_AT_A_TIME, _EMBEDDING_SECONDS = 4, 120
_LARGEST_BODIES_AT_A_TIME = 8


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
    app.state.created = int(time.time())
    app.state.startup = Startup(settings, encoder)
    # Uploads and searches have a door each, so that neither waits in the other's queue.
    app.state.uploads = Door("uploads", workers=_UPLOADS_AT_A_TIME, queue=settings.queue, seconds=_UPLOAD_SECONDS)
    app.state.searches = Door("searches", workers=_SEARCHES_AT_A_TIME, queue=settings.queue, seconds=_SEARCH_SECONDS)
    app.state.embeddings = Door(
        "embeddings", workers=_EMBEDDINGS_AT_A_TIME, queue=settings.queue, seconds=_EMBEDDING_SECONDS
    )
    app.state.doors = (app.state.uploads, app.state.searches, app.state.embeddings)
    app.state.fetcher = Fetcher(allowed=settings.fetch_urls, max_bytes=settings.max_upload_bytes)
    app.state.watchers = CapacityLimiter(2)
    app.state.bodies = Room(_LARGEST_BODIES_AT_A_TIME * settings.max_upload_bytes)
    keyring = Keyring.of(settings)
    install_problems(app)
    _install_middleware(app, settings, keyring)
    for module in (images, search, classify, embeddings, models, clip_retrieval, health, metrics, page):
        app.include_router(module.router)
    install_description(app, asks_for_key=bool(keyring))
    return app


def _install_middleware(app: FastAPI, settings: Settings, keyring: Keyring) -> None:
    """What every request goes through, from the inside out."""
    app.add_middleware(Presence)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes, room=app.state.bodies)
    app.add_middleware(FormsInUTF8)
    app.add_middleware(SameOriginWrites)
    app.add_middleware(AskForKey, keyring=keyring)
    if not (keyring or settings.allow_open):
        app.add_middleware(OwnHosts)
    app.add_middleware(CatchAll)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(AccessLog)
