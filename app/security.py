"""What every answer and every request has to do with safety, whatever route it is: headers, size, origin."""

from __future__ import annotations

from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import ProblemResponse
from app.schemas import Problem

CSP_DATA = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""For answers that are no page: a browser that is led to open one runs nothing."""
CSP_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
    " manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""For pages: nothing from other hosts, nothing inline."""

_HEADERS = {
    "Content-Security-Policy": CSP_DATA,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """ASGI middleware: puts the headers above on every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class BodyLimit:
    """ASGI middleware: refuses a body of more than so many bytes, by its announced length or counted as it comes in."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdigit() and int(announced) > self._max_bytes
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message: Message = {"type": "http.request", "more_body": True} if too_long else await receive()
            received += len(message.get("body", b""))
            if too_long or received > self._max_bytes:
                if message.get("more_body", False):
                    await self._discard(receive)
                raise HTTPException(413, f"The request is larger than {self._max_bytes:,} bytes, the limit here.")
            return message

        await self._app(scope, receive_counted, send)

    async def _discard(self, receive: Receive) -> None:
        """Read on for a while: a client that sends first and then listens would lose the answer."""
        discarded = 0
        with anyio.move_on_after(5):
            while discarded <= self._max_bytes:
                message = await receive()
                discarded += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


class SameOriginWrites:
    """ASGI middleware: refuses writes that a page of another site makes a visitor's browser send.

    The service on a person's own machine has no password to keep such requests out. Programs send no such headers.
    https://web.dev/articles/fetch-metadata
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD", "OPTIONS"} and _is_foreign(scope):
            detail = "This request comes from a page of another site, which may not write here."
            problem = Problem(type="about:blank", title="Forbidden", status=403, detail=detail)
            await ProblemResponse(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_foreign(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
