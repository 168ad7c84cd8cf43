"""The Python client does with a service what its methods say, and says what is wrong in a sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.client import Client
from app.errors import InvalidRequest, ServiceProblem, ServiceUnreachable
from app.schemas import AddedImage, Problem
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise, plain
from tests.app.process import running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("data")) as (process, http):
        process.wait_for("ready:")
        yield str(http.base_url)


@pytest.fixture
def client(service: str) -> Iterator[Client]:
    """A client of a service with an empty gallery."""
    with Client(service) as client:
        yield client
        for image in client.images():
            client.delete(image.id)


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers, one after the other; its address, and what it was asked."""
    waiting, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(f"{self.command} {self.path}")
            status, headers, body = waiting.pop(0)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_picture_is_added_read_changed_and_removed(client: Client) -> None:
    added = client.add(plain("red"), {"place": "Oslo", "year": 2020}, id="one")
    assert isinstance(added, AddedImage)
    assert (added.id, added.duplicate, added.metadata) == ("one", False, {"place": "Oslo", "year": 2020})
    assert client.get("one") == client.page().images[0]
    assert client.content("one") == plain("red")
    assert client.thumbnail("one")[8:12] == b"WEBP"
    assert client.update_metadata("one", {"year": None, "metadata": {"a": 1}}).metadata == {
        "place": "Oslo",
        "metadata": {"a": 1},
    }
    replaced = client.put("one", plain("blue"), {"place": "Bergen"})
    assert (replaced.metadata, client.content("one")) == ({"place": "Bergen"}, plain("blue"))
    client.delete("one")
    with pytest.raises(ServiceProblem, match="no picture with the id 'one'") as caught:
        client.get("one")
    assert caught.value.status == 404
    for ask in (client.content, client.thumbnail, client.delete):
        with pytest.raises(ServiceProblem, match="no picture with the id 'one'"):
            ask("one")


def test_the_same_bytes_are_a_duplicate_and_the_same_id_is_taken(client: Client) -> None:
    first = client.add(plain("red"))
    again = client.add(plain("red"))
    assert (again.id, again.duplicate) == (first.id, True)
    with pytest.raises(ServiceProblem) as caught:
        client.add(plain("blue"), id=first.id)
    assert caught.value.status == 409


def test_of_many_pictures_each_succeeds_or_fails_for_itself(client: Client) -> None:
    pictures = [plain("red"), b"no picture", plain("blue"), b""]
    red, words, blue, empty = client.add_many(pictures, [{"n": n} for n in range(4)])
    assert isinstance(red, AddedImage)
    assert isinstance(blue, AddedImage)
    assert (red.metadata, blue.metadata) == ({"n": 0}, {"n": 2})
    assert isinstance(words, Problem)
    assert isinstance(empty, Problem)
    (alone,) = client.add_many([b"no picture"], [{}])
    assert alone == words


def test_all_pictures_are_read_page_by_page(client: Client) -> None:
    client.add_many([noise(n) for n in range(5)], [{"even": n % 2 == 0} for n in range(5)])
    first = client.page(limit=2)
    second = client.page(limit=2, cursor=first.next_cursor)
    assert (first.total, len(first.images), len(second.images)) == (5, 2, 2)
    every = [image.id for image in client.images()]
    assert every[:4] == [image.id for image in first.images + second.images]
    assert len(every) == 5
    assert len(list(client.images({"even": True}))) == client.page(filter={"even": True}).total == 3


def test_a_question_can_be_asked_in_every_way(client: Client) -> None:
    for colour in ("red", "green", "blue"):
        client.put(colour, plain(colour), {"colour": colour})
    vector = ColourEncoder().encode_texts(["blue"])[0].tolist()
    ways: list[dict[str, Any]] = [
        {"text": "blue"},
        {"picture": plain("blue")},
        {"like": "blue"},
        {"vector": vector},
        {"query": [{"text": "blue"}, {"text": "red", "weight": -0.5}]},
        {"picture": plain("blue"), "query": [{"image": {"id": "red"}, "weight": -0.5}]},
    ]
    for way in ways:
        assert client.search(**way, limit=1).results[0].id == "blue"
        (best,) = client.search(**way, filter={"colour": {"$ne": "blue"}}, limit=1).results
        assert best.id in {"red", "green"}
        everything = client.search(**way).results
        assert client.search(**way, offset=1, limit=1).results == everything[1:2]
        cutoff = everything[0].relevance
        assert [one for one in everything if one.relevance >= cutoff] == client.search(
            **way, min_relevance=cutoff
        ).results


def test_a_picture_is_classified(client: Client) -> None:
    client.put("red", plain("red"))
    for given in ({"picture": plain("red")}, {"like": "red"}):
        answer = client.classify(["blue", "red"], **given, template="something {}")
        assert [one.label for one in answer.results] == ["red", "blue"]
        assert sum(one.probability for one in answer.results) == pytest.approx(1)


def test_texts_and_pictures_become_vectors(client: Client) -> None:
    text, picture = client.embed(["red", plain("red")])
    np.testing.assert_array_equal(np.array(text, np.float32), ColourEncoder().encode_texts(["red"])[0])
    assert np.dot(text, picture) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ServiceProblem, match=r"input\.1\.image"):
        client.embed(["red", b"no picture"])


def test_the_service_says_what_it_is(client: Client) -> None:
    (model,) = client.models()
    assert (model.id, model.embedding_size) == ("colours", 64)
    assert client.readiness().status == "ready"


def test_a_key_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLAX_API_KEYS", "secret")
    with running(tmp_path) as (process, http):
        process.wait_for("ready:")
        with Client(str(http.base_url), key="secret") as client:
            assert client.page().total == 0
        with Client(str(http.base_url)) as client, pytest.raises(ServiceProblem) as caught:
            client.page()
        assert caught.value.status == 401
        with Client(str(http.base_url)) as client, pytest.raises(ServiceProblem, match="asks for a key"):
            client.embed(["red"])  # said in another dialect
    for key in ("", "two words", "line\nbreak", "ключ"):
        with pytest.raises(InvalidRequest):
            Client("http://127.0.0.1", key=key)


def test_a_client_waits_for_a_service_that_asks_for_patience(tmp_path: Path) -> None:
    with running(tmp_path) as (_, http), Client(str(http.base_url), patience=60) as client:
        assert client.search(text="red").results == []  # asked at once, answered when the model is there


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    busy = (429, {"Retry-After": "0"}, b'{"detail": "Busy."}')
    good = (200, {}, json.dumps({"images": [], "next_cursor": None, "total": 0}).encode())
    with answering(busy, busy, good) as (url, asked), Client(url) as client:
        assert client.page().total == 0
        assert asked == ["GET /v1/images?limit=50"] * 3


@pytest.mark.parametrize("wait", ["3600", "Fri, 31 Dec 2027 23:59:59 GMT", "nan", "-1e9"])
def test_a_service_that_wants_too_much_patience_is_a_problem(wait: str) -> None:
    busy = (503, {"Retry-After": wait}, b'{"detail": "Busy."}')
    with answering(*[busy] * 20) as (url, _), Client(url, patience=0.3) as client:
        with pytest.raises(ServiceProblem, match="Busy") as caught:
            client.page()
        assert caught.value.status == 503


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"", b'{"some": "other API"}'])
def test_what_is_no_parallax_service_is_said_so(body: bytes) -> None:
    refused = pytest.raises(ServiceProblem, match="not as a Parallax service does")
    with answering((200, {}, body)) as (url, _), Client(url) as client, refused:
        client.search(text="red")


def test_a_client_says_what_it_found_instead_of_a_service() -> None:
    for address in ("http://127.0.0.1:9", "no address", "ftp://127.0.0.1", "http://[", "http://127.0.0.1:port"):
        with pytest.raises(ServiceUnreachable, match="No Parallax service answers"), Client(address) as client:
            client.search(text="red")
