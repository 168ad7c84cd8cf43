"""A picture is fetched from the address that it is said to be at, by those who may."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.admission.claim import Claim
from app.errors import InvalidRequest, Overloaded, TooLate
from app.security.fetching import AT_A_TIME, MAX_REDIRECTS, Fetcher
from tests.app.loopback import Loopback, http, talking
from tests.app.security.fetching.stranger import PICTURE, STRANGER, fetcher, named, refused


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


def test_nothing_is_fetched_for_a_request_that_nobody_waits_for(picture: Loopback) -> None:
    late = Claim()
    late.drop(TooLate("Time is up."))
    with late.in_force(), pytest.raises(TooLate, match="Time is up"):
        fetcher().fetch(f"http://photos.example:{picture.port}/")
    assert picture.heard == []


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
