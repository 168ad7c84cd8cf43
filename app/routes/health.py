"""/livez, /readyz, /healthz: for those who watch over the process."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.schemas import LiveAnswer, ReadyAnswer
from app.startup import Startup

router = APIRouter(tags=["health"])


@router.get("/livez")
async def live() -> LiveAnswer:
    """200 as long as the process answers at all."""
    return LiveAnswer()


@router.get("/healthz", responses={503: {"model": ReadyAnswer}})
@router.get("/readyz", responses={503: {"model": ReadyAnswer}})
def ready(request: Request, response: Response) -> ReadyAnswer:
    """200 when the model is loaded, every picture is searchable and the demo gallery is added; until then 503."""
    startup: Startup = request.app.state.startup
    status = startup.status()
    response.headers["Cache-Control"] = "no-store"
    if status.status != "ready":
        response.status_code = 503
    return status
