"""The access log: every request has an id; when it is answered it is counted, and has a line."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.authorization import OPEN_PATHS
from app.operations import metrics
from app.operations.logs import fields, request_id

log = logging.getLogger("parallax.access")

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_HEADER = "X-Request-ID"
_IDS_OF_OTHERS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ASKED_ALL_THE_TIME = ("/livez", "/readyz", "/healthz", "/metrics", "/static/")


class AccessLog:
    """ASGI middleware: takes the request's id from a proxy or makes one, answers with it, and writes the line.

    What somebody searched for is nobody's business: the line has the path without the query.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        own_id = given if _IDS_OF_OTHERS.fullmatch(given) else secrets.token_hex(8)
        began, status, sent = time.perf_counter(), 0, 0

        async def send_noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_HEADER] = own_id
            sent += len(message.get("body", b""))
            await send(message)

        token = request_id.set(own_id)
        metrics.REQUESTS_UNDER_WAY.inc()
        try:
            await self._app(scope, receive, send_noted)
        finally:
            metrics.REQUESTS_UNDER_WAY.dec()
            seconds = time.perf_counter() - began
            _count(scope, status, seconds)
            _write(scope, status, sent, 1000 * seconds)
            request_id.reset(token)


def _count(scope: Scope, status: int, seconds: float) -> None:
    """By the template of the route and a method that there is, so that strangers cannot make series without end."""
    method = scope["method"] if scope["method"] in _METHODS else "other"
    # Of what is mounted, such as the files of the page, only where it is mounted is known; of the rest, the path.
    path = scope["path"] if scope["path"] in OPEN_PATHS else "none"
    route = getattr(scope.get("route"), "path", None) or scope.get("root_path") or path
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)


def _write(scope: Scope, status: int, sent: int, took_ms: float) -> None:
    """`status` is 0 if there was no answer."""
    raw = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    path = raw.partition(b"?")[0].decode("ascii", "backslashreplace")
    quiet = scope["path"].startswith(_ASKED_ALL_THE_TIME) and 0 < status < 400
    level = logging.DEBUG if quiet else logging.WARNING if status >= 500 else logging.INFO
    facts = fields(
        method=scope["method"],
        path=path,
        status=status,
        took_ms=round(took_ms, 1),
        bytes=sent,
        client=(scope.get("client") or ("",))[0],
        key=scope.get("parallax.key"),
    )
    log.log(level, "%s %s %d", scope["method"], path, status, extra=facts)
