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

from app import errors
from app.schemas import Problem
from model.errors import BrokenPicture, EmptyPicture, ParallaxError, TooManyPixels, UnsupportedPicture

log = logging.getLogger("parallax")


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
    errors.NotReady: _Kind(503, "not-ready", "Not ready yet", retry_after=2),
    errors.Overloaded: _Kind(429, "overloaded", "Too many requests", retry_after=1),
}


def problem_of(error: ParallaxError) -> Problem:
    """What to tell a client about an error of ours."""
    kind = _kind(error)
    return Problem(type=f"urn:parallax:problem:{kind.slug}", title=kind.title, status=kind.status, detail=str(error))


def _kind(error: ParallaxError) -> _Kind:
    return next(_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS)


class ProblemResponse(JSONResponse):
    """A problem on its way out."""

    media_type = "application/problem+json"

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None, **extensions: Any) -> None:
        content = problem.model_dump(mode="json") | extensions
        super().__init__(content, status_code=problem.status, headers=headers)


def install_problems(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[ProblemResponse]]] = {
        ParallaxError: _on_parallax_error,
        RequestValidationError: _on_validation_error,
        HTTPException: _on_http_exception,
        Exception: _on_anything_else,
    }
    for cls, handler in handlers.items():
        app.add_exception_handler(cls, handler)


async def _on_parallax_error(_: Request, error: ParallaxError) -> ProblemResponse:
    kind = _kind(error)
    headers = None if kind.retry_after is None else {"Retry-After": str(kind.retry_after)}
    return ProblemResponse(problem_of(error), headers)


async def _on_validation_error(_: Request, error: RequestValidationError) -> ProblemResponse:
    # What was sent is left out of the answer: it may be large, secret, or no valid JSON.
    faults = [{"at": _place(fault["loc"]), "fault": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{fault['at']}: {fault['fault']}" for fault in faults) + "."
    problem = problem_of(errors.InvalidRequest(detail))
    return ProblemResponse(problem, faults=faults)


def _place(location: tuple[str | int, ...]) -> str:
    """("body", "image", "id") → body.image.id"""
    return ".".join(map(str, location)) or "body"


async def _on_http_exception(_: Request, error: HTTPException) -> ProblemResponse:
    title = HTTPStatus(error.status_code).phrase
    detail = _SENTENCES.get(error.status_code, str(error.detail)) if error.detail == title else str(error.detail)
    problem = Problem(type="about:blank", title=title, status=error.status_code, detail=detail)
    return ProblemResponse(problem, error.headers)


_SENTENCES = {
    404: "There is nothing at this address. /docs lists the routes.",
    405: "This address does not take this method. /docs lists the routes.",
}


async def _on_anything_else(request: Request, error: Exception) -> ProblemResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "Something went wrong here. The log of the service says what."
    return ProblemResponse(Problem(type="about:blank", title="Internal Server Error", status=500, detail=detail))
