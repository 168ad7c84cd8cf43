"""The bodies of requests on their way in: how large, how slow, and how much of them at the same time."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAUSE_SECONDS = 30
"""A client that sends nothing for so long has gone, or means no good."""
GRACE_SECONDS, LEAST_BYTES_A_SECOND = 60, 4096
"""After the grace, a body has to have come in at this rate: drop by drop it would hold its connection for ever."""


class Room:
    """How many bytes of bodies the service holds at the same time, whoever sends them."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.held = 0

    def take(self, count: int) -> bool:
        """False if there is no more room; nothing is taken then."""
        if self.held + count > self._total:
            return False
        self.held += count
        return True

    def give_back(self, count: int) -> None:
        self.held -= count


class BodyLimit:
    """ASGI middleware: refuses a body of more than so many bytes, by its announced length or counted as it comes in.

    It is refused as well if it comes too slowly, or if all bodies together take more than the room there is.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, room: Room) -> None:
        self._app, self._max_bytes, self._room = app, max_bytes, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, Headers(scope=scope).get("content-length", ""), self._max_bytes, self._room)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._room.give_back(body.held)


class _Body:
    def __init__(self, receive: Receive, announced: str, max_bytes: int, room: Room) -> None:
        self._receive, self._max_bytes, self._room = receive, max_bytes, room
        self._too_long = announced.isdigit() and int(announced) > max_bytes
        self._received = 0
        self._began: float | None = None
        self._complete = False
        self.held = 0

    async def receive(self) -> Message:
        """The next part. Raises HTTPException: 408, 413 or 429."""
        if self._complete:  # what comes now is the end of the connection, which may take its time
            return await self._receive()
        message: Message = {"type": "http.request", "more_body": True} if self._too_long else await self._in_time()
        count = len(message.get("body", b""))
        self._received += count
        self._complete = not message.get("more_body", False)
        if self._too_long or self._received > self._max_bytes:
            await self._discard()
            raise HTTPException(413, f"The request is larger than {self._max_bytes:,} bytes, the limit here.")
        if not self._room.take(count):
            await self._discard()
            sentence = "Other requests fill all the room there is for bodies. Try again in a moment."
            raise HTTPException(429, sentence, {"Retry-After": "1"})
        self.held += count
        return message

    async def _in_time(self) -> Message:
        now = anyio.current_time()
        self._began = began = now if self._began is None else self._began
        latest = began + GRACE_SECONDS + self._received / LEAST_BYTES_A_SECOND
        with anyio.CancelScope(deadline=min(now + PAUSE_SECONDS, latest)):
            return await self._receive()
        self._complete = True
        raise HTTPException(408, "The body of the request came too slowly.", {"Connection": "close"})

    async def _discard(self) -> None:
        """Read on for a while: a client that sends first and then listens would lose the answer."""
        discarded = 0
        with anyio.move_on_after(5):
            while not self._complete and discarded <= self._max_bytes:
                message = await self._receive()
                discarded += len(message.get("body", b""))
                self._complete = not message.get("more_body", False)
        self._complete = True
