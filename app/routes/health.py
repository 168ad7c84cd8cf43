"""/livez, /readyz, /healthz: for those who watch over the process."""

from __future__ import annotations

import logging

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from app.schemas import LiveAnswer, Progress, ReadyAnswer
from app.startup import Startup

router = APIRouter(tags=["health"])

log = logging.getLogger("parallax")

LONGEST_BATCH_SECONDS = 60
"""A model that is at one batch for longer does not come back from it, or is of no use to anybody."""


@router.get("/livez")
async def live() -> LiveAnswer:
    """200 as long as the process answers at all."""
    return LiveAnswer()


@router.get("/healthz", responses={503: {"model": ReadyAnswer}})
@router.get("/readyz", responses={503: {"model": ReadyAnswer}})
async def ready(request: Request, response: Response) -> ReadyAnswer:
    """200 when pictures can be searched and added, and the demo gallery is there; 503 until then and when that ends.

    It is asked of the parts themselves: the catalog is read, and the model has to be at work.
    """
    # Not in the threads of the other routes: who watches over the service wants to know just when these are all taken.
    status = await anyio.to_thread.run_sync(_status, request.app.state.startup, limiter=request.app.state.watchers)
    response.headers["Cache-Control"] = "no-store"
    if status.status != "ready":
        response.status_code = 503
    return status


def _status(startup: Startup) -> ReadyAnswer:
    try:
        status = startup.status()
        if status.status == "ready" and (seconds := startup.gallery.seconds_at_batch()) > LONGEST_BATCH_SECONDS:
            return status.model_copy(
                update={"status": "failed", "detail": f"The model has been at one batch for {seconds:.0f} seconds."}
            )
        return status
    except Exception as error:
        log.error("the service is not ready: %s", error, exc_info=error)
        failed = "The catalog cannot be read. The log of the service says why."
        return ReadyAnswer(status="failed", detail=failed, model=None, images=0, index=Progress(), demo=Progress())
