"""Whoever may give the service an address cannot have it speak to anything behind the firewall."""

from __future__ import annotations

import itertools
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UnfetchableURL
from app.security.fetching import Fetcher, resolve
from tests.app.loopback import Loopback, http, saying, talking
from tests.app.security.fetching.stranger import STRANGER, TLS, fetcher, named, refused

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


@pytest.mark.parametrize("host", ["xn--a", "xn--", "XN--A"])
def test_an_international_name_that_is_none_is_refused(inside: Loopback, host: str) -> None:
    assert refused(fetcher(), f"http://{host}/") == "The address names no host."
    with talking(saying(http(b"", "302 Found", f"Location: http://{host}/")), STRANGER) as stranger:
        assert refused(fetcher(), f"http://{STRANGER}:{stranger.port}/") == "The address names no host."


def test_localhost_is_refused_by_the_systems_own_resolver(inside: Loopback) -> None:
    for name in ("localhost", "localhost.", "LOCALHOST"):
        refused(fetcher(resolver=resolve), f"http://{name}:{inside.port}/")


def test_a_name_with_one_address_inside_is_refused_whatever_the_others_are(inside: Loopback, picture: Loopback) -> None:
    for addresses in ([STRANGER, "127.0.0.1"], ["127.0.0.1", STRANGER]):
        refused(fetcher(resolver=named(evil=addresses)), f"http://evil.example:{picture.port}/")
    assert picture.heard == []


def test_a_public_address_of_this_very_machine_is_refused(inside: Loopback) -> None:
    fetch = Fetcher(allowed=True, max_bytes=1000, may_connect={"127.0.0.1"}.__contains__, ssl_context=TLS)
    assert "not a machine on the public internet" in refused(fetch, f"http://127.0.0.1:{inside.port}/")


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
