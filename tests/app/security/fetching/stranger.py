"""The stranger's server is at 127.0.0.2, which these tests take for a public address; 127.0.0.1 stays what it is."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from app.errors import UnfetchableURL
from app.security.addresses import is_public
from app.security.fetching import Fetcher
from tests.app.loopback import Loopback

STRANGER = "127.0.0.2"
PICTURE = b"the bytes of a picture"
TLS = httpcore.default_ssl_context()  # reading all certificates takes a while
WITHIN = 5
"""Seconds, within which every hostile address is refused."""


def numeric_only(host: str, port: int) -> list[str]:
    """The system's reading of an address in numbers; asks no name server."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [str(address[4][0]) for address in found]


def named(**addresses: str | list[str]) -> Callable[[str, int], list[str]]:
    """A resolver that knows these names, without their ending .example, and addresses in numbers."""

    def resolver(host: str, port: int) -> list[str]:
        known = addresses.get(host.removesuffix(".example"))
        return numeric_only(host, port) if known is None else [known] if isinstance(known, str) else known

    return resolver


def fetcher(**options: Any) -> Fetcher:
    options = {"max_bytes": 100_000, "resolver": named(photos=STRANGER), "ssl_context": TLS} | options
    return Fetcher(allowed=True, may_connect=lambda address: address == STRANGER or is_public(address), **options)


def refused(fetch: Fetcher, url: str) -> str:
    """Why this is not fetched."""
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(fetch.fetch, url).exception(timeout=WITHIN)
    assert isinstance(error, UnfetchableURL), error
    return str(error)


def endless(server: list[Loopback], first: bytes, again: bytes, pause: float) -> Callable[[socket.socket, bytes], None]:
    def converse(connection: socket.socket, _: bytes) -> None:
        connection.sendall(first)
        while not server[0].closing.wait(pause):
            connection.sendall(again)

    return converse
