"""HEAD requests: answered like GET, without the body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.files import without_range


class HeadAsGet:
    """ASGI middleware, so that no route needs to think of it (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            as_get = {**without_range(scope), "method": "GET"}  # a part is for GET alone (RFC 9110, 14.2)
            try:
                await self._app(as_get, receive, send_head)
            finally:
                scope["route"] = as_get.get("route")  # for the log and the metrics, which are further out
        else:
            await self._app(scope, receive, send)
