"""How other APIs say that something went wrong, for the routes that speak as they do.

Their clients read these shapes: `openai` makes its exceptions of them, `ClipClient` hands them on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.schemas import Problem

Spoken = tuple[int, dict[str, Any]]
"""Status and body of an answer."""

Dialect = Callable[[Problem, Mapping[str, Any]], Spoken]
"""Says a problem, with what it has beyond the members of every problem, in the way of another API."""

_ABOUT_THE_INPUT = frozenset({400, 415, 422})
"""What these APIs call a bad request, whatever is wrong with it."""


def dialect_of(path: str) -> Dialect | None:
    """The dialect that is spoken at an address; None where problems are said as such."""
    return next((speak for root, speak in _SPOKEN.items() if path == root or path.startswith(root + "/")), None)


def openai(problem: Problem, extensions: Mapping[str, Any]) -> Spoken:
    """https://platform.openai.com/docs/guides/error-codes: {"error": {message, type, param, code}}"""
    status = _status(problem)
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    code = _CODES.get(status) or ("model_not_found" if problem.type.endswith(":not-found") else None)
    return status, {"error": {"message": problem.detail, "type": kind, "param": _param(extensions), "code": code}}


_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def _param(extensions: Mapping[str, Any]) -> str | None:
    """Where the first fault is: body.input.3 → input.3"""
    faults = extensions.get("faults") or [{"at": ""}]
    return str(faults[0]["at"]).removeprefix("body").removeprefix(".") or None


def clip_retrieval(problem: Problem, _: Mapping[str, Any]) -> Spoken:
    """As Flask-RESTful, which its back end is made with: {"message"}"""
    return _status(problem), {"message": problem.detail}


def _status(problem: Problem) -> int:
    return 400 if problem.status in _ABOUT_THE_INPUT else problem.status


_SPOKEN: Mapping[str, Dialect] = {
    "/v1/embeddings": openai,
    "/v1/models": openai,
    "/knn-service": clip_retrieval,
    "/indices-list": clip_retrieval,
    "/metadata": clip_retrieval,
}
