"""A server on this machine that says to whoever connects exactly what a test has it say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Conversation = Callable[[socket.socket, bytes], None]
"""Given a connection and what came in on it first."""


class Loopback:
    """Where the server is, and the requests that it has heard."""

    def __init__(self, listening: socket.socket, converse: Conversation) -> None:
        self.port: int = listening.getsockname()[1]
        self.heard: list[bytes] = []
        self.closing = threading.Event()
        """For a conversation that never ends by itself."""
        self._listening, self._converse = listening, converse
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                if self.closing.is_set():
                    connection.close()
                    return
                self._open.append(connection)
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            said = connection.recv(65_536)
            self.heard.append(said)
            self._converse(connection, said)

    def close(self) -> None:
        self.closing.set()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError), socket.create_connection(self._listening.getsockname(), timeout=5):
            pass  # so that accept returns
        self._listening.close()
        for thread in self._threads:
            thread.join()


@contextmanager
def talking(converse: Conversation, address: str = "127.0.0.1") -> Iterator[Loopback]:
    with socket.create_server((address, 0)) as listening:
        server = Loopback(listening, converse)
        try:
            yield server
        finally:
            server.close()


def saying(answer: bytes) -> Conversation:
    """The same to everybody."""
    return lambda connection, _: connection.sendall(answer)


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body
