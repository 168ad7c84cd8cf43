"""Connections of the server: how many there are, and how long one may stay without asking for anything."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from app.operations.logs import fields

log = logging.getLogger("parallax")

REQUEST_SECONDS = 20
"""For the head of a request to come in, and for what is left of a refused one to go by."""
READING_SECONDS = 30
"""For a client to take anything more of an answer that is waiting for it; one that reads, however slowly, is served."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_MOST = 4096


def most_connections() -> int:
    """As many as leave a third of the file descriptors for everything else when each of them is being sent a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * _MOST if hard == resource.RLIM_INFINITY else min(3 * _MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 3)


class Connection(H11Protocol):
    """Uvicorn's, which waits for ever for a client that is silent, says its head letter by letter, or does not read."""

    most = _MOST

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            log.warning("too many connections: one is refused", extra=fields(connections=len(self.connections)))
            transport.write(_FULL)
            transport.close()
            return
        _give_up_unless_read(transport)
        self._begin_to_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_to_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering:
            self._end_to_wait()
        else:
            self._begin_to_wait()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _begin_to_wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _end_to_wait(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self._is_answering and not self.transport.is_closing():
            self.transport.close()


def _give_up_unless_read(transport: asyncio.Transport) -> None:
    """Have the kernel end the connection when nothing of what is sent is taken: it alone sees every byte that is.

    Source: RFC 5482; tcp(7), TCP_USER_TIMEOUT, which only Linux has.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * READING_SECONDS))
