"""Who may do what: every request is held against the keys before its body is read."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import ProblemResponse
from app.schemas import Problem
from app.security.keys import Access, Keyring

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/livez", "/readyz", "/healthz"})
"""What holds nothing of the gallery: pages, their documentation, health."""
OPEN_FOLDER = "/static/"
READING_POSTS = frozenset({"/v1/search", "/v1/classify", "/v1/embeddings", "/knn-service", "/metadata"})
"""Questions that are too long for an address."""
_HOW_TO_SEND_A_KEY = (
    "This service asks for a key: send Authorization: Bearer KEY, or X-API-Key: KEY, or KEY as the password of HTTP"
    " Basic, with any user."
)


def needed(method: str, path: str) -> Access:
    """What a request has to be allowed to. What nobody thought of needs the most."""
    reads = method in {"GET", "HEAD", "OPTIONS"}
    if reads and (path in OPEN_PATHS or path.startswith(OPEN_FOLDER)):
        return Access.NONE
    return Access.READ if reads or (method == "POST" and path in READING_POSTS) else Access.WRITE


class AskForKey:
    """ASGI middleware: a request without a key that allows it goes no further, and its body is not read."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app, self._keyring = app, keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._keyring:
            await self._app(scope, receive, send)
            return
        asked = needed(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
        given = {key: self._keyring.access(key) for key in _given(Headers(scope=scope))}
        allowed = max(given.values(), default=Access.NONE)
        if allowed >= asked:
            if allowed:
                scope["parallax.key"] = next(_name(key) for key, access in given.items() if access == allowed)
            await self._app(scope, receive, send)
        elif allowed:
            await _refuse(403, 'error="insufficient_scope"', "This key may read, but not write.")(scope, receive, send)
        elif given:
            await _refuse(401, 'error="invalid_token"', "This service does not know this key.")(scope, receive, send)
        else:
            await _refuse(401, None, _HOW_TO_SEND_A_KEY)(scope, receive, send)


def _name(key: str) -> str:
    """What the log calls a key: the beginning of its hash."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _given(headers: Headers) -> Iterator[str]:
    yield from headers.getlist("x-api-key")
    for value in headers.getlist("authorization"):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "bearer" and credentials.strip():
            yield credentials.strip()
        elif scheme.lower() == "basic" and (password := _password(credentials.strip())):
            yield password


def _password(credentials: str) -> str:
    """Of HTTP Basic (RFC 7617), for programs that can say no more than http://user:KEY@host; empty if there is none.

    No challenge asks for it: a browser that knows such a password sends it along whatever site makes it ask.
    """
    try:
        return base64.b64decode(credentials, validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _refuse(status: int, error: str | None, detail: str) -> ProblemResponse:
    """RFC 6750, 3."""
    title = "Forbidden" if status == 403 else "Unauthorized"
    challenge = ", ".join(filter(None, ('Bearer realm="parallax"', error)))
    problem = Problem(type="about:blank", title=title, status=status, detail=detail)
    return ProblemResponse(problem, {"WWW-Authenticate": challenge})
