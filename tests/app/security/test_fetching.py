"""Whoever may give the service an address cannot have it speak to anything behind the firewall, nor keep it waiting.

The stranger's server is at 127.0.0.2, which these tests take for a public address; 127.0.0.1 stays what it is.
"""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest, Overloaded, UnfetchableURL
from app.security.addresses import is_public
from app.security.fetching import AT_A_TIME, MAX_REDIRECTS, SECONDS, Fetcher, resolve
from tests.app.loopback import Loopback, http, saying, talking

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


@pytest.fixture
def inside() -> Iterator[Loopback]:
    """A service on this very machine, which nobody may reach; the tests' end checks that nobody did."""
    with talking(saying(http(PICTURE))) as server:
        yield server
        assert server.heard == []


@pytest.fixture
def picture() -> Iterator[Loopback]:
    with talking(saying(http(PICTURE)), STRANGER) as server:
        yield server


def test_a_picture_is_fetched(picture: Loopback) -> None:
    assert fetcher().fetch(f"http://photos.example:{picture.port}/a%20cat.png?size=1#top") == PICTURE
    (said,) = picture.heard
    assert said.startswith(b"GET /a%20cat.png?size=1 HTTP/1.1\r\n")
    assert f"Host: photos.example:{picture.port}\r\n".encode() in said
    assert b"Cookie" not in said
    assert b"Authorization" not in said


def test_nothing_is_fetched_unless_that_is_switched_on(picture: Loopback) -> None:
    off = Fetcher(allowed=False, max_bytes=1000)
    with pytest.raises(InvalidRequest, match="Send the picture itself"):
        off.fetch(f"http://{STRANGER}:{picture.port}/")
    assert picture.heard == []


# Every way to say 127.0.0.1 that some program reads as such, and the rest of what is not the public internet.
LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "127.0.0.1.",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]
NOT_PUBLIC = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001:0:53aa:64c:0:7fff:f5ff:fffe]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::1]",
    "[2002:a00:1::]",
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", LOOPBACK + NOT_PUBLIC)
def test_what_is_not_on_the_public_internet_is_refused(inside: Loopback, host: str, scheme: str) -> None:
    refused(fetcher(), f"{scheme}://{host}:{inside.port}/")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "10.1.2.3", "::ffff:127.0.0.1", "fe80::1%lo"]
)
def test_a_name_is_as_good_as_what_it_means(inside: Loopback, address: str) -> None:
    sentence = refused(fetcher(resolver=named(evil=address)), f"http://evil.example:{inside.port}/")
    assert sentence == "evil.example is not a machine on the public internet. Send the picture itself."


def test_localhost_is_refused_by_the_systems_own_resolver(inside: Loopback) -> None:
    for name in ("localhost", "localhost.", "LOCALHOST"):
        refused(fetcher(resolver=resolve), f"http://{name}:{inside.port}/")


def test_a_name_with_one_address_inside_is_refused_whatever_the_others_are(inside: Loopback, picture: Loopback) -> None:
    for addresses in ([STRANGER, "127.0.0.1"], ["127.0.0.1", STRANGER]):
        refused(fetcher(resolver=named(evil=addresses)), f"http://evil.example:{picture.port}/")
    assert picture.heard == []


def test_a_name_that_changes_its_address_gains_nothing(inside: Loopback) -> None:
    """DNS rebinding: the first answer passes every check, the second one would be connected to."""
    answers = itertools.chain([[STRANGER]], itertools.repeat(["127.0.0.1"]))
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    fetch = fetcher(resolver=rebinding)
    # 127.0.0.2 is silent at this port, so only a second look at the name would find somebody
    assert "evil.example" in refused(fetch, f"http://evil.example:{inside.port}/")
    assert asked == ["evil.example"]
    assert "not a machine on the public internet" in refused(fetch, f"http://evil.example:{inside.port}/")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{}/", "//127.0.0.1:{}/", "http://[::ffff:127.0.0.1]:{}/", "http://evil.example:{}/"]
)
def test_a_redirect_to_the_inside_is_refused(inside: Loopback, status: str, target: str) -> None:
    with talking(saying(http(b"", status, f"Location: {target.format(inside.port)}")), STRANGER) as stranger:
        fetch = fetcher(resolver=named(photos=STRANGER, evil="127.0.0.1"))
        assert "public internet" in refused(fetch, f"http://photos.example:{stranger.port}/")
        assert len(stranger.heard) == 1


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://photos.example/",
        "gopher://photos.example/",
        "data:image/png;base64,",
        "http://",
        "http://[",
        "",
    ],
)
def test_a_redirect_to_something_else_than_the_web_is_refused(target: str) -> None:
    def converse(connection: socket.socket, _: bytes) -> None:
        connection.sendall(http(b"", "302 Found", f"Location: {target}"))

    with talking(converse, STRANGER) as stranger:
        refused(fetcher(), f"http://photos.example:{stranger.port}/")


def test_redirects_are_followed_a_few_times_and_each_is_looked_at() -> None:
    def converse(connection: socket.socket, said: bytes) -> None:
        left = int(said.split()[1].strip(b"/"))
        connection.sendall(http(PICTURE) if left == 0 else http(b"", "302 Found", f"Location: /{left - 1}"))

    with talking(converse, STRANGER) as stranger:
        base = f"http://photos.example:{stranger.port}"
        assert fetcher().fetch(f"{base}/{MAX_REDIRECTS}") == PICTURE
        assert len(stranger.heard) == MAX_REDIRECTS + 1
        assert "more than 3 times" in refused(fetcher(), f"{base}/{MAX_REDIRECTS + 1}")
        assert len(stranger.heard) == 2 * (MAX_REDIRECTS + 1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "photo.png",
        "/photo.png",
        "//photos.example/",
        "http://",
        "http:///photo.png",
        "http:photos.example",
        "file:///etc/passwd",
        "ftp://photos.example/",
        "gopher://photos.example/",
        "unix:///run/docker.sock",
        "http+unix://x/",
        "data:image/png;base64,AA",
        "javascript:alert(1)",
        "http://user@photos.example/",
        "http://user:secret@photos.example/",
        "http://127.0.0.1\\@photos.example/",
        "http://photos.example:0/",
        "http://photos.example:22/",
        "http://photos.example:25/",
        "http://photos.example:65536/",
        "http://photos.example:-1/",
        "http://photos.example:a/",
        "http://photos.example/\r\nX: y",
        "http://photos\n.example/",
        "http://[::1",
        "http://" + "a" * 300 + ".example/",
        "http://photos.example/" + "a" * 100_000,
        "http://\ud800.example/",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was asked for")

    assert refused(fetcher(resolver=nobody), url)


@given(st.text())
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror

    for url in (text, f"http://{text}", f"https://photos.example{text}"):
        with pytest.raises(UnfetchableURL):
            fetcher(resolver=unknown).fetch(url)


def test_a_name_that_nobody_knows_is_said_so() -> None:
    assert refused(fetcher(), "http://nowhere.example/") == "The name nowhere.example is not known."
    assert "no address" in refused(fetcher(resolver=named(empty=[])), "http://empty.example/")


def test_the_next_address_is_tried_when_one_is_silent(picture: Loopback) -> None:
    fetch = Fetcher(
        allowed=True,
        max_bytes=1000,
        resolver=named(photos=["127.0.0.3", STRANGER]),
        may_connect={"127.0.0.3", STRANGER}.__contains__,
    )
    assert fetch.fetch(f"http://photos.example:{picture.port}/") == PICTURE


# Servers that keep a client for as long as it lets them. Each is given up at the deadline, which is shortened here.


def endless(server: list[Loopback], first: bytes, again: bytes, pause: float) -> Callable[[socket.socket, bytes], None]:
    def converse(connection: socket.socket, _: bytes) -> None:
        connection.sendall(first)
        while not server[0].closing.wait(pause):
            connection.sendall(again)

    return converse


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


def test_slow_servers_do_not_take_the_workers_of_everybody(picture: Loopback) -> None:
    released = threading.Event()
    entered = threading.Semaphore(0)

    def slow(host: str, port: int) -> list[str]:
        entered.release()
        released.wait(timeout=60)
        return [STRANGER]

    fetch = fetcher(resolver=slow, seconds=60)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        waiting = [pool.submit(fetch.fetch, f"http://photos.example:{picture.port}/") for _ in range(AT_A_TIME)]
        for _ in waiting:
            assert entered.acquire(timeout=60)
        with pytest.raises(Overloaded):
            fetch.fetch(f"http://photos.example:{picture.port}/")
        released.set()
        assert [one.result(timeout=60) for one in waiting] == [PICTURE] * AT_A_TIME
    assert fetch.fetch(f"http://photos.example:{picture.port}/") == PICTURE


def test_no_proxy_of_the_environment_is_asked(
    picture: Loopback, inside: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    assert fetcher().fetch(f"http://photos.example:{picture.port}/") == PICTURE
