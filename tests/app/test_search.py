"""Whatever way a question is asked, the nearest pictures come first."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.pictures import noise, plain
from tests.app.running import add


@pytest.fixture
def gallery(client: TestClient) -> TestClient:
    for colour in ("red", "green", "blue"):
        add(client, plain(colour), name=colour, metadata={"colour": colour})
    return client


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["id"] for result in answer.json()["results"]]


def test_words_find_pictures(gallery: TestClient) -> None:
    answer = gallery.get("/v1/search", params={"q": "something blue", "limit": 2})
    assert ids(answer)[0] == "blue"
    body = answer.json()
    assert len(body["results"]) == 2
    assert body["exact"] is True
    assert body["took_ms"] > 0
    best, other = body["results"]
    assert best["score"] == pytest.approx(1, abs=1e-5)
    assert best["score"] > other["score"]
    assert (best["metadata"], best["width"], best["height"]) == ({"colour": "blue"}, 32, 24)
    assert gallery.get(best["content_url"]).content == plain("blue")
    assert gallery.get(best["thumbnail_url"]).headers["content-type"] == "image/webp"


def test_every_way_to_ask_gives_the_same_answer(gallery: TestClient) -> None:
    data = plain("green")
    encoded = base64.b64encode(data).decode()
    ways = [
        gallery.get("/v1/search", params={"q": "green"}),
        gallery.post("/v1/search", json={"text": "green"}),
        gallery.post("/v1/search", files={"text": (None, "green")}),
        gallery.post("/v1/search", json={"image": {"id": "green"}}),
        gallery.post("/v1/search", json={"image": {"base64": encoded}}),
        gallery.post("/v1/search", json={"image": {"base64": encoded.rstrip("=")}}),
        gallery.post("/v1/search", json={"image": {"base64": f"data:image/png;base64,{encoded}"}}),
        gallery.post("/v1/search", files={"file": ("picture", data)}),
    ]
    assert {tuple(ids(way)) for way in ways} == {("green", *ids(ways[0])[1:])}
    assert {way.json()["results"][0]["score"] for way in ways} == {1.0}


def test_the_window_moves_over_the_results(gallery: TestClient) -> None:
    everything = ids(gallery.get("/v1/search?q=red"))
    assert len(everything) == 3
    for body in ({"limit": 2}, {"offset": 1}, {"limit": 1, "offset": 2}, {"offset": 3}):
        start, stop = body.get("offset", 0), body.get("offset", 0) + body.get("limit", 10)
        assert ids(gallery.post("/v1/search", json={"text": "red", **body})) == everything[start:stop]
        assert ids(gallery.get("/v1/search", params={"q": "red", **body})) == everything[start:stop]
        form = gallery.post("/v1/search", files={"file": plain("red")}, data=body)
        assert ids(form) == everything[start:stop]


def test_an_empty_gallery_has_no_results(client: TestClient) -> None:
    assert ids(client.get("/v1/search?q=red")) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"{}", "either text or image"),
        (b'{"text": "red", "image": {"id": "red"}}', "either text or image"),
        (b'{"text": ""}', "text"),
        (b'{"text": "  \\t "}', "text"),
        (b'{"text": "' + b"x" * 1001 + b'"}', "1000"),
        (b'{"text": 7}', "string"),
        (b'{"text": "\\ud800"}', "JSON"),
        (b'{"text": "\xff"}', "JSON"),
        (b'{"text": "red", "limit": 0}', "limit"),
        (b'{"text": "red", "limit": 1001}', "1000"),
        (b'{"text": "red", "limit": NaN}', "finite"),
        (b'{"text": "red", "limit": 1e400}', "limit"),
        (b'{"text": "red", "limit": 2.5}', "limit"),
        (b'{"text": "red", "offset": -1}', "offset"),
        (b'{"text": "red", "filtre": {}}', "filtre"),
        (b'{"image": {}}', "either id or base64"),
        (b'{"image": {"base64": "&&&"}}', "base64"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_reason(gallery: TestClient, body: bytes, word: str) -> None:
    answer = gallery.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["", "q=", "q=%20", "q=red&limit=0", "q=red&limit=NaN", "q=red&filter={}", "q=" + "x" * 1001]
)
def test_an_address_that_makes_no_sense_is_refused(gallery: TestClient, query: str) -> None:
    answer = gallery.get(f"/v1/search?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        ({"file": noise(0)}, {"text": "red"}),
        ({"file": noise(0)}, {"limit": "x"}),
        ({"other": noise(0)}, {}),
        ({"file": (None, "not a file")}, {}),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(gallery: TestClient, files: Any, fields: Any) -> None:
    assert gallery.post("/v1/search", files=files, data=fields).status_code == 422


def test_a_picture_that_is_not_there_is_not_found(gallery: TestClient) -> None:
    answer = gallery.post("/v1/search", json={"image": {"id": "mauve"}})
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no picture with the id 'mauve'.")


@pytest.mark.parametrize("text", ["красный 🍎", "a\u0000b", "'; DROP TABLE images; --", "x" * 1000])
def test_any_words_may_be_asked_for(gallery: TestClient, text: str) -> None:
    assert len(ids(gallery.get("/v1/search", params={"q": text}))) == 3
