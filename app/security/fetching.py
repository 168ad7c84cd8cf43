"""Pictures from the web, by address: what a stranger may make this service ask for, and for how long.

Whoever names an address could name one behind our own firewall (server-side request forgery). So a name is resolved
once, every address that it has must be public, and the connection goes to that very address: a name that means another
machine a moment later gains nothing. All of it, redirects too, shares one deadline and one limit of bytes.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from app.admission.claim import given_up
from app.errors import InvalidRequest, Overloaded, UnfetchableURL
from app.operations import metrics
from app.security.addresses import is_nearby, is_public

SECONDS = 4.5
MAX_REDIRECTS = 3
AT_A_TIME = 4
"""Fetches hold a worker that searches wait for; more of them are refused."""
_PORTS = frozenset({80, 443, *range(1024, 65536)})
"""The others are those of mail, shells and the like."""
_LONGEST_NAME = 253
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = (
    (b"User-Agent", b"Parallax"),
    (b"Accept", b"image/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
)
"""What comes compressed is no picture: a compressed bomb is not unpacked."""

Resolver = Callable[[str, int], Iterable[str]]
"""The IP addresses of a host. Raises OSError."""


def resolve(host: str, port: int) -> list[str]:
    """As the system does, in any of the spellings that it knows: names, 127.1, 2130706433, 0x7f000001."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Fetcher:
    """Fetches pictures by their addresses, if that is switched on. Many threads may use it."""

    def __init__(
        self,
        *,
        allowed: bool,
        max_bytes: int,
        seconds: float = SECONDS,
        resolver: Resolver = resolve,
        may_connect: Callable[[str], bool] = is_public,
        ssl_context: SSLContext | None = None,
    ) -> None:
        self._allowed, self._max_bytes, self._seconds = allowed, max_bytes, seconds
        self._resolver, self._may_connect = resolver, may_connect
        self._ssl_context = ssl_context or (httpcore.default_ssl_context() if allowed else None)
        self._slots = threading.BoundedSemaphore(AT_A_TIME)

    def fetch(self, url: str) -> bytes:
        """The bytes at an address. Raises InvalidRequest, Overloaded, or UnfetchableURL with a sentence.

        If nobody waits any more, nothing is fetched, and the reason is raised.
        """
        if not self._allowed:
            raise InvalidRequest(
                "This service does not fetch pictures by their address. Send the picture itself, or have whoever runs"
                " the service set PARALLAX_FETCH_URLS=1."
            )
        if fault := given_up():
            raise fault
        if not self._slots.acquire(blocking=False):
            metrics.FETCHES.labels("refused").inc()
            raise Overloaded("Too many pictures are being fetched. Try again in a moment.")
        outcome = "failed"
        try:
            fetched = self._fetch(_parsed(url), _Deadline(self._seconds))
            outcome = "fetched"
            return fetched
        finally:
            metrics.FETCHES.labels(outcome).inc()
            self._slots.release()

    def _fetch(self, url: httpx.URL, deadline: _Deadline) -> bytes:
        network = _Network(self._resolver, self._may_connect, deadline)
        for _ in range(1 + MAX_REDIRECTS):
            answer = self._get(url, network)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise UnfetchableURL(f"The address leads to another more than {MAX_REDIRECTS} times.")

    def _get(self, url: httpx.URL, network: httpcore.NetworkBackend) -> bytes | httpx.URL:
        """The bytes at an address, or the one that it leads to."""
        target, headers = _checked(url), [(b"Host", url.netloc), *_HEADERS]
        try:
            with (
                httpcore.ConnectionPool(network_backend=network, ssl_context=self._ssl_context) as pool,
                pool.stream("GET", target, headers=headers) as response,
            ):
                return _next(url, response) if response.status in _REDIRECTS else self._body(response)
        except httpcore.TimeoutException:
            raise UnfetchableURL(f"The picture did not come within {self._seconds:g} seconds.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise UnfetchableURL(f"{url.host} did not send a picture: {str(error) or 'it broke off'}.") from None

    def _body(self, response: httpcore.Response) -> bytes:
        if response.status != 200:
            raise UnfetchableURL(f"The server of the picture answered {response.status}.")
        announced = _header(response, b"content-length")
        too_long = announced.isdigit() and int(announced) > self._max_bytes
        body = bytearray()
        for part in () if too_long else response.iter_stream():
            body += part
            if too_long := len(body) > self._max_bytes:
                break
        if too_long:
            raise UnfetchableURL(f"The picture is larger than {self._max_bytes:,} bytes, the limit here.")
        return bytes(body)


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutException when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left


class _Network(httpcore.NetworkBackend):
    """Connects to addresses that may be connected to, and gives no operation more time than is left."""

    def __init__(self, resolver: Resolver, may_connect: Callable[[str], bool], deadline: _Deadline) -> None:
        self._resolver, self._may_connect, self._deadline = resolver, may_connect, deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        if not all(self._may_connect(address) and not is_nearby(address) for address in addresses):
            raise UnfetchableURL(f"{host} is not a machine on the public internet. Send the picture itself.")
        for number, address in enumerate(addresses, 1):
            try:
                stream = self._backend.connect_tcp(
                    address, port, timeout=self._deadline.left(), socket_options=socket_options
                )
                return _Stream(stream, self._deadline)
            except httpcore.ConnectError:
                if number == len(addresses):
                    raise
        raise UnfetchableURL(f"The name {host} has no address.")

    def _resolve(self, host: str, port: int) -> list[str]:
        """In a thread of its own: the system's resolver takes its time, and cannot be told to hurry."""
        answers: SimpleQueue[list[str] | OSError | UnicodeError] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(list(dict.fromkeys(self._resolver(host, port))))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=self._deadline.left())
        except Empty:
            raise httpcore.TimeoutException from None
        if isinstance(answer, Exception):
            raise UnfetchableURL(f"The name {host} is not known.") from None
        return answer


class _Stream(httpcore.NetworkStream):
    """A connection on which every operation ends when the deadline does, however many there are."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._left())

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._left()), self._deadline)

    def _left(self) -> float:
        try:
            return self._deadline.left()
        except httpcore.TimeoutException:
            self.close()  # which the pool does only for errors of the stream below
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _checked(url: httpx.URL) -> httpcore.URL:
    """An address of the web, in parts, so that nobody reads it differently later on. Raises UnfetchableURL."""
    if url.scheme not in {"http", "https"}:
        raise UnfetchableURL("The address of a picture begins with http:// or https://.")
    if url.userinfo:
        raise UnfetchableURL("The address holds a name or a password, which this service passes on to nobody.")
    try:
        length = len(url.host)
    except UnicodeError:  # of an international name that is none
        length = 0
    if not 0 < length <= _LONGEST_NAME:
        raise UnfetchableURL("The address names no host.")
    if url.port is not None and url.port not in _PORTS:
        raise UnfetchableURL(f"Port {url.port} is not one of the web's.")
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        raise UnfetchableURL("This is not an address of the web, as in https://example.org/picture.jpg.") from None


def _next(url: httpx.URL, response: httpcore.Response) -> httpx.URL:
    """Where a redirect leads."""
    try:
        return url.join(_header(response, b"location"))
    except httpx.InvalidURL:
        raise UnfetchableURL("The address leads to another that is none.") from None


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for known, value in response.headers if known.lower() == name), "")
