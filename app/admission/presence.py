"""Whether the client of a request still waits for its answer."""

from __future__ import annotations

from contextvars import ContextVar

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

_receive: ContextVar[Receive | None] = ContextVar("receive", default=None)


class Presence:
    """ASGI middleware: lets `client_gone` listen for the end of the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _receive.set(receive)
        try:
            await self._app(scope, receive, send)
        finally:
            _receive.reset(token)


async def client_gone() -> None:
    """Returns when the client has closed its connection. Only for a request whose body nobody is going to read."""
    receive = _receive.get()
    try:
        while receive is not None and (await receive())["type"] != "http.disconnect":
            pass
    except HTTPException:  # a body that is too long, or too slow, though nobody asked for one
        receive = None
    if receive is None:
        await anyio.sleep_forever()
