"""A server that keeps a client for as long as it lets it is given up at the deadline; it is shortened here."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable

import pytest

from app.security.fetching import SECONDS
from tests.app.loopback import Loopback, http, saying, talking
from tests.app.security.fetching.stranger import STRANGER, WITHIN, endless, fetcher, refused


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b""),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 5000\r\n\r\n", b"a"),
    ],
)
def test_a_server_that_drips_is_given_up(first: bytes, again: bytes) -> None:
    server: list[Loopback] = []
    with talking(endless(server, first, again, 0.01), STRANGER) as stranger:
        server.append(stranger)
        assert refused(fetcher(seconds=0.3), f"http://photos.example:{stranger.port}/")
    assert SECONDS < WITHIN


def test_a_server_that_is_silent_where_tls_begins_is_given_up() -> None:
    server: list[Loopback] = []
    with talking(endless(server, b"", b"", 0.01), STRANGER) as stranger:
        server.append(stranger)
        assert "0.3 seconds" in refused(fetcher(seconds=0.3), f"https://photos.example:{stranger.port}/")


def test_a_name_server_that_takes_its_time_is_given_up() -> None:
    released = threading.Event()

    def slow(host: str, port: int) -> Iterable[str]:
        released.wait(timeout=60)
        return [STRANGER]

    try:
        assert "0.3 seconds" in refused(fetcher(seconds=0.3, resolver=slow), "http://photos.example/")
    finally:
        released.set()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 50_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"c350\r\n" + b"a" * 50_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", b""),
    ],
)
def test_an_endless_body_is_read_up_to_the_limit(first: bytes, again: bytes) -> None:
    server: list[Loopback] = []
    with talking(endless(server, first, again, 0), STRANGER) as stranger:
        server.append(stranger)
        assert "larger than 100,000 bytes" in refused(fetcher(), f"http://photos.example:{stranger.port}/")


def test_endless_headers_are_given_up() -> None:
    server: list[Loopback] = []
    with talking(endless(server, b"HTTP/1.1 200 OK\r\n", b"X: " + b"a" * 50_000 + b"\r\n", 0), STRANGER) as stranger:
        server.append(stranger)
        assert "did not send a picture" in refused(fetcher(), f"http://photos.example:{stranger.port}/")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 999\r\n\r\n",
        b"\0" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
def test_a_server_that_speaks_otherwise_is_a_sentence(answer: bytes) -> None:
    with talking(saying(answer), STRANGER) as stranger:
        assert refused(fetcher(), f"http://photos.example:{stranger.port}/")


@pytest.mark.parametrize(
    "status", ["204 No Content", "206 Partial", "304 Not Modified", "401 Unauthorized", "404 Not Found", "500 Oops"]
)
def test_an_answer_that_is_no_picture_is_not_taken_for_one(status: str) -> None:
    with talking(saying(http(b"", status)), STRANGER) as stranger:
        assert status[:3] in refused(fetcher(), f"http://photos.example:{stranger.port}/")


def test_what_comes_compressed_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    with talking(saying(http(bomb, "200 OK", "Content-Encoding: gzip")), STRANGER) as stranger:
        assert fetcher().fetch(f"http://photos.example:{stranger.port}/") == bomb


def test_tls_is_spoken_with_the_name_though_the_connection_goes_to_the_address() -> None:
    with talking(saying(b""), STRANGER) as stranger:
        refused(fetcher(), f"https://photos.example:{stranger.port}/")
        (hello,) = stranger.heard
        assert b"photos.example" in hello  # server name indication, RFC 6066; what the certificate is held against
