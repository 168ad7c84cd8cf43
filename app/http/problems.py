"""Errors as HTTP answers: RFC 9457 problem details. The only place that knows both."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.http.dialects import dialect_of
from app.operations.logs import request_id
from app.schemas import Problem
from model.errors import BrokenPicture, EmptyPicture, ParallaxError, TooManyPixels, UnsupportedPicture

log = logging.getLogger("parallax")

CLIENT_GONE = 499
"""No answer reaches anybody; in the log and the metrics such requests have this status, as in nginx."""

_LONGEST_NAME = 100
"""Of a field, as an answer repeats it."""
_INSIDE = "Something went wrong inside the service. Its log says what, under the id of this request."


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    slug: str
    title: str
    retry_after: int | None = None
    """Seconds."""


_KINDS: Mapping[type[ParallaxError], _Kind] = {
    ParallaxError: _Kind(500, "failed", "That did not work"),
    EmptyPicture: _Kind(400, "empty-picture", "The file is empty"),
    UnsupportedPicture: _Kind(415, "unsupported-picture", "Not a picture that can be read"),
    BrokenPicture: _Kind(422, "broken-picture", "The picture is damaged"),
    TooManyPixels: _Kind(413, "too-many-pixels", "The picture is too large"),
    errors.InvalidRequest: _Kind(422, "invalid-request", "The request cannot be carried out"),
    errors.NotFound: _Kind(404, "not-found", "Not found"),
    errors.IdTaken: _Kind(409, "id-taken", "The id is taken"),
    errors.OriginalLost: _Kind(500, "original-lost", "The file is missing"),
    errors.EncoderFault: _Kind(500, "encoder-fault", "The model failed"),
    errors.StorageFull: _Kind(507, "storage-full", "The disk is full"),
    errors.StorageFault: _Kind(503, "storage-fault", "The data folder cannot be used", retry_after=5),
    errors.UnfetchableURL: _Kind(422, "unfetchable-url", "The picture cannot be fetched"),
    errors.NotReady: _Kind(503, "not-ready", "Not ready yet", retry_after=2),
    errors.TooLate: _Kind(503, "too-late", "The service is too busy", retry_after=2),
    errors.Overloaded: _Kind(429, "overloaded", "Too many requests", retry_after=1),
    errors.Abandoned: _Kind(CLIENT_GONE, "abandoned", "The client has gone"),
}


def problem_of(error: ParallaxError) -> Problem:
    """What to tell a client about an error of ours. What went wrong inside is for the log alone."""
    kind = _kind(error)
    detail = str(error)
    if kind.status == 500:
        log.error("%s: %s", kind.slug, error, exc_info=error)
        detail = _INSIDE
    return Problem(type=f"urn:parallax:problem:{kind.slug}", title=kind.title, status=kind.status, detail=detail)


def headers_of(error: ParallaxError) -> dict[str, str]:
    """What goes with the problem: when to ask again, if that may help."""
    seconds = _kind(error).retry_after
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _kind(error: ParallaxError) -> _Kind:
    return next(_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS)


class ProblemResponse(JSONResponse):
    """A problem on its way out; where another API's dialect is spoken, it is said in that."""

    media_type = "application/problem+json"

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None, **extensions: Any) -> None:
        if problem.status == 500:
            extensions["request_id"] = request_id.get()
        content = problem.model_dump(mode="json") | extensions
        super().__init__(content, status_code=problem.status, headers=headers)
        self._problem, self._extensions = problem, extensions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (speak := dialect_of(scope.get("path", ""))) is not None:
            self.status_code, content = speak(self._problem, self._extensions)
            self.body = self.render(content)
            self.headers.update({"Content-Type": "application/json", "Content-Length": str(len(self.body))})
        await super().__call__(scope, receive, send)


def install_problems(app: FastAPI) -> None:
    """Answer every error that somebody thought of with a problem; `CatchAll` has the rest."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[ProblemResponse]]] = {
        ParallaxError: _on_parallax_error,
        RequestValidationError: _on_validation_error,
        HTTPException: _on_http_exception,
    }
    for cls, handler in handlers.items():
        app.add_exception_handler(cls, handler)


async def _on_parallax_error(_: Request, error: ParallaxError) -> ProblemResponse:
    return ProblemResponse(problem_of(error), headers_of(error))


async def _on_validation_error(_: Request, error: RequestValidationError) -> ProblemResponse:
    # What was sent is left out of the answer: it may be large, secret, or no valid JSON.
    faults = [
        {"at": _place(fault["loc"]), "fault": fault["msg"].removeprefix("Value error, ").rstrip(".")}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['at']}: {fault['fault']}" for fault in faults) + "."
    problem = problem_of(errors.InvalidRequest(detail))
    return ProblemResponse(problem, faults=faults)


def _place(location: tuple[str | int, ...]) -> str:
    """("body", "image", "id") → body.image.id; a name of the client's own is cut."""
    return ".".join(str(part)[:_LONGEST_NAME] for part in location) or "body"


async def _on_http_exception(request: Request, error: HTTPException) -> ProblemResponse:
    title = HTTPStatus(error.status_code).phrase
    detail = _SENTENCES.get(error.status_code, str(error.detail)) if error.detail == title else str(error.detail)
    problem = Problem(type="about:blank", title=title, status=error.status_code, detail=detail)
    return ProblemResponse(problem, _allowed(request) if error.status_code == 405 else error.headers)


def _allowed(request: Request) -> dict[str, str]:
    """The methods of this address: all of them, where the framework names those of one of its routes."""
    described = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None), {"get": None})
    methods = {method.upper() for method in described}
    return {"Allow": ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))}


_SENTENCES = {
    404: "There is nothing at this address. /docs lists the routes.",
    405: "This address does not take this method. /docs lists the routes.",
}


class CatchAll:
    """ASGI middleware: an error that nobody thought of is a 500 with the request's id, and a traceback in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            if begun or scope["type"] != "http":  # too late for another answer: the server closes the connection
                raise
            log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            problem = Problem(type="about:blank", title="Internal Server Error", status=500, detail=_INSIDE)
            await ProblemResponse(problem)(scope, receive, send)
