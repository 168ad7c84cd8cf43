"""The web page at /, and the documentation of the routes at /docs."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from app.http.browsers import CSP_PAGE
from app.http.files import File

_APP = Path(__file__).parent.parent


class _Pages(StaticFiles):
    """Files that change with the service: a browser asks each time, and is mostly told that nothing has changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({"Cache-Control": "no-cache", "Content-Security-Policy": CSP_PAGE})
        return response

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        file = File(full_path, status_code=status_code, stat_result=stat_result)
        return NotModifiedResponse(file.headers) if self.is_not_modified(file.headers, Headers(scope=scope)) else file


router = APIRouter(include_in_schema=False)
_web = _Pages(directory=_APP / "web")
_docs = _Pages(directory=_APP / "docs")
router.mount("/static/docs", _docs)
router.mount("/static", _web)


@router.get("/")
async def page(request: Request) -> Response:
    return await _web.get_response("index.html", request.scope)


@router.get("/docs")
async def docs(request: Request) -> Response:
    return await _docs.get_response("index.html", request.scope)
