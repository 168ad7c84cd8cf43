"""Clients that connect and mean no good take a connection for a while, and nothing else."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from app.admission.connection import Connection, most_connections

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MUCH = 32 << 20
"""bytes: more than the kernel holds for a client that does not read"""


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, whatever is still to come."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


class Much:
    """Answers with far more than a client takes at once, whole or in parts; counts the answers that are under way."""

    def __init__(self, part: int) -> None:
        self.part = part
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = str(MUCH).encode()
        self.under_way += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            for end in range(self.part, MUCH + 1, self.part):
                await send({"type": "http.response.body", "body": bytes(self.part), "more_body": end < MUCH})
        finally:
            self.under_way -= 1


@contextmanager
def serving(app: ASGIApp = hello) -> Iterator[Callable[[], socket.socket]]:
    """A server with these connections; gives a function that connects to it."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(listening.getsockname(), timeout=60))
        return opened[-1]

    try:
        yield connect
    finally:
        for connection in opened:
            connection.close()
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.admission.connection.REQUEST_SECONDS", 0.2)


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def ask(connection: socket.socket) -> None:
    """A request that is answered."""
    connection.sendall(HEAD)
    said = b""
    while not said.endswith(b"hi"):
        part = connection.recv(65_536)
        assert part, said
        said += part


def _status(connection: socket.socket) -> bytes:
    """Of what is asked for; the answer is let go of when it begins."""
    try:
        connection.sendall(HEAD)
        return connection.recv(12)[9:]
    except ConnectionError:
        return b""
    finally:
        connection.close()


def drip(connection: socket.socket, letter: bytes) -> bytes:
    """Send a letter now and then, until the server has had enough; what it said until then."""
    said = b""
    while True:
        readable, _, _ = select.select([connection], [], [], 0.01)
        try:
            if readable:
                if not (part := connection.recv(65_536)):
                    return said
                said += part
            connection.sendall(letter)
        except ConnectionError:
            return said


def test_who_says_nothing_is_not_waited_for(impatient: None) -> None:
    with serving() as connect:
        assert read_all(connect()) == b""


def test_who_asks_letter_by_letter_is_not_waited_for(impatient: None) -> None:
    with serving() as connect:
        connection = connect()
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert drip(connection, b"a") == b""


def test_who_was_answered_may_ask_again_but_not_letter_by_letter(impatient: None) -> None:
    with serving() as connect:
        connection = connect()
        for _ in range(3):
            ask(connection)
        connection.sendall(b"GET / HT")
        assert read_all(connection) == b""


def test_the_endless_body_of_a_refused_request_is_cut_off(impatient: None) -> None:
    with serving() as connect:
        connection = connect()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert drip(connection, b"1\r\na\r\n").endswith(b"hi")


def test_an_idle_connection_that_has_asked_before_is_kept(impatient: None) -> None:
    with serving() as connect:
        kept, silent = connect(), connect()
        ask(kept)
        assert read_all(silent) == b""  # which takes longer than a head may
        ask(kept)


@pytest.mark.parametrize("part", [MUCH, 1 << 16], ids=["whole", "in parts"])
def test_who_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr("app.admission.connection.READING_SECONDS", 0.5)
    monkeypatch.setattr(Connection, "most", 1)
    app = Much(part)
    with serving(app) as connect:
        unread = connect()
        unread.sendall(HEAD)
        while _status(connect()) != b"200":  # as long as the only connection is taken
            time.sleep(0.05)
        assert len(read_all(unread)) < MUCH
        while app.under_way:
            time.sleep(0.05)


def test_who_reads_slowly_is_served_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.admission.connection.READING_SECONDS", 1)
    with serving(Much(1 << 16)) as connect:
        slow = connect()
        slow.sendall(HEAD)
        got = 0
        while got < MUCH:  # for several times as long as one that does not read at all may take
            part = slow.recv(1 << 20)
            assert part, f"cut off after {got} of {MUCH} bytes"
            got += len(part)
            time.sleep(0.1 * len(part) / (1 << 20))


def test_when_there_are_too_many_the_next_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "most", 3)
    with serving() as connect:
        first = [connect() for _ in range(3)]
        for connection in first:
            ask(connection)
        answer = read_all(connect())
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
        for connection in first:  # who is there already is not disturbed
            ask(connection)
        first[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_all(first[0]).endswith(b"hi")
        last = connect()
        ask(last)


def test_connections_leave_file_descriptors_for_everything_else() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = most_connections()
        assert 0 < most <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3  # a connection, a file, and as many more
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
