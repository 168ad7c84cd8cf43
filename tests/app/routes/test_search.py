"""Whatever way a question is asked, the nearest pictures come first."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise, plain, two_colours
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
        (b"{}", "one of text, image, vector and query"),
        (b'{"text": "red", "image": {"id": "red"}}', "query combines several"),
        (b'{"text": ""}', "text"),
        (b'{"text": "  \\t "}', "text"),
        (b'{"text": "' + b"x" * 1001 + b'"}', "1000"),
        (b'{"text": 7}', "string"),
        (b'{"text": "\\ud800"}', "JSON"),
        (b'{"text": "\xff"}', "JSON"),
        (b'{"text": "red", "limit": 0}', "limit"),
        (b'{"text": "red", "limit": 1001}', "1000"),
        (b'{"text": "red", "limit": NaN}', "limit"),
        (b'{"text": "red", "limit": 1e400}', "limit"),
        (b'{"text": "red", "limit": 2.5}', "limit"),
        (b'{"text": "red", "limit": "5"}', "limit"),
        (b'{"text": "red", "limit": true}', "limit"),
        (b'{"text": "red", "offset": -1}', "offset"),
        (b'{"text": "red", "filtre": {}}', "filtre"),
        (b'{"image": {}}', "one of id, base64 and url"),
        (b'{"image": {"base64": "&&&"}}', "base64"),
        (b"[" * 100_000, "JSON"),
        (b'{"image": {"id": "red", "base64": "AAAA"}}', "one of id, base64 and url"),
        (b'{"vector": []}', "vector"),
        (b'{"vector": [1, 2, 3]}', "3 numbers, those of the model colours have 64"),
        (b'{"vector": [1, NaN]}', "vector.1"),
        (b'{"vector": ["x"]}', "vector.0"),
        (b'{"vector": [' + b"0," * 63 + b"0]}", "zero"),
        (b'{"query": []}', "query"),
        (b'{"query": [{}]}', "query.0"),
        (b'{"query": [{"text": "red", "vector": [1]}]}', "each makes a part of its own"),
        (b'{"query": [{"text": "red", "weight": 101}]}', "query.0.weight"),
        (b'{"query": [{"text": "red", "weight": NaN}]}', "query.0.weight"),
        (b'{"query": [{"text": "red"}, {"text": "red", "weight": -1}]}', "cancel"),
        (b'{"query": [{"text": "red", "weight": 0}]}', "cancel"),
        (b'{"query": [' + b'{"text": "red"},' * 32 + b'{"text": "red"}]}', "32"),
        (b'{"text": "red", "min_relevance": 1.1}', "min_relevance"),
        (b'{"text": "red", "filter": []}', "filter"),
        (b'{"text": "red", "filter": {"year": {"$gte": NaN}}}', "filter.year.$gte"),
        (b'{"text": "red", "filter": {"$where": "1"}}', "filter.$where"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_reason(gallery: TestClient, body: bytes, word: str) -> None:
    answer = gallery.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=",
        "q=%20",
        "q=red&limit=0",
        "q=red&limit=NaN",
        "q=red&filter={",
        "q=red&min_relevance=2",
        "q=" + "x" * 1001,
    ],
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
        ({"file": noise(0)}, {"vector": "[1]"}),
        ({"file": noise(0)}, {"query": "red"}),
        ({"file": noise(0)}, {"query": '[{"text": "red", "weight": NaN}]'}),
        ({"file": noise(0)}, {"filter": "{"}),
        ({"file": noise(0)}, {"filter": "[]"}),
        ({"file": noise(0)}, {"filter": '{"a": {"$gte": []}}'}),
        ({"file": noise(0)}, {"limit": ["1", "2"]}),
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


# Vectors, and queries of several parts


def vector_of(*sources: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return ColourEncoder().encode_texts(sources)[0]


def test_a_vector_of_any_length_is_searched_with(gallery: TestClient) -> None:
    for length in (1.0, 7.5, 1e-30, 1e300):
        vector = [float(number) * length for number in vector_of("green")]
        answer = gallery.post("/v1/search", json={"vector": vector})
        assert ids(answer)[0] == "green"
        assert answer.json()["results"][0]["score"] == pytest.approx(1, abs=1e-5)
    form = gallery.post("/v1/search", files={"vector": (None, json.dumps(vector))})
    assert form.json()["results"] == answer.json()["results"]


def test_parts_are_added_up_by_their_weights(gallery: TestClient) -> None:
    add(gallery, two_colours("red", "blue"), name="both")
    red_and_blue = [{"text": "red"}, {"image": {"id": "blue"}}]
    assert ids(gallery.post("/v1/search", json={"query": red_and_blue}))[0] == "both"
    mostly_blue = [{"text": "red", "weight": 0.1}, {"image": {"id": "blue"}}]
    assert ids(gallery.post("/v1/search", json={"query": mostly_blue}))[0] == "blue"
    less_red = [{"image": {"id": "both"}}, {"text": "red", "weight": -0.9}]
    assert ids(gallery.post("/v1/search", json={"query": less_red}))[0] == "blue"
    not_red = [{"text": "red", "weight": -1}]
    assert ids(gallery.post("/v1/search", json={"query": not_red}))[-1] == "red"


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weights=st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_the_score_of_a_query_is_the_cosine_with_the_weighted_sum(gallery: TestClient, weights: list[float]) -> None:
    vectors = ColourEncoder().encode_texts(["red", "green", "blue"])  # as those of the pictures
    relative = np.array(weights) / (np.abs(weights).max() or 1)
    total = relative @ vectors.astype(np.float64)
    sources: list[dict[str, Any]] = [{"text": "red"}, {"image": {"id": "green"}}, {"vector": vectors[2].tolist()}]
    query = [{**source, "weight": weight} for source, weight in zip(sources, weights, strict=True)]
    answer = gallery.post("/v1/search", json={"query": query})
    if np.linalg.norm(total) <= 1e-6 * np.abs(relative).sum():
        assert answer.status_code == 422
        return
    expected = vectors @ (total / np.linalg.norm(total))
    scores = {result["id"]: result["score"] for result in answer.json()["results"]}
    assert [scores[name] for name in ("red", "green", "blue")] == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_file_is_a_part_beside_those_of_the_query(gallery: TestClient) -> None:
    query = json.dumps([{"text": "blue", "weight": -0.9}])
    answer = gallery.post("/v1/search", files={"file": two_colours("red", "blue")}, data={"query": query})
    assert ids(answer)[0] == "red"


# Filters


def test_a_filtered_search_is_the_true_best_of_what_matches(client: TestClient) -> None:
    """Not what is left of the best ones: those that match may all be far down."""
    shades = {f"p{n}": noise(n) for n in range(60)}
    for n, (name, data) in enumerate(shades.items()):
        add(client, data, name=name, metadata={"n": n, "even": n % 2 == 0, "tags": [f"t{n % 3}", "all"]})
    everything = ids(client.get("/v1/search?q=red&limit=60"))
    assert len(everything) == 60
    for condition, matching in (
        ({"n": {"$gte": 40}}, range(40, 60)),
        ({"even": True, "tags": "t1"}, range(4, 60, 6)),
        ({"n": {"$in": [3, 59]}}, (3, 59)),
        ({"$not": {"tags": "all"}}, ()),
        ({}, range(60)),
    ):
        wanted = [name for name in everything if int(name[1:]) in matching]
        for window in ({"limit": 7}, {"limit": 5, "offset": 3}, {"limit": 100}):
            start = window.get("offset", 0)
            expected = wanted[start : start + window["limit"]]
            parameters = {"filter": json.dumps(condition), **window}
            assert ids(client.post("/v1/search", json={"text": "red", "filter": condition, **window})) == expected
            assert ids(client.post("/v1/search", files={"text": (None, "red")}, data=parameters)) == expected
            assert ids(client.get("/v1/search", params={"q": "red", **parameters})) == expected


def test_changes_of_metadata_and_of_pictures_count_at_once_in_a_filtered_search(gallery: TestClient) -> None:
    def found() -> list[str]:
        return ids(gallery.post("/v1/search", json={"text": "red", "filter": {"colour": "red"}}))

    assert found() == ["red"]
    gallery.patch("/v1/images/blue", json={"colour": "red"})
    assert found() == ["red", "blue"]
    gallery.put("/v1/images/red", files={"file": plain("yellow")}, data={"metadata": '{"colour": "yellow"}'})
    assert found() == ["blue"]
    gallery.delete("/v1/images/blue")
    assert found() == []


def test_a_filter_and_the_vectors_are_of_the_same_moment(client: TestClient) -> None:
    """A picture that is replaced is never found by its new metadata with its old vector, or the other way round."""
    stop = threading.Event()

    def replace() -> None:
        for colour in itertools.cycle(("blue", "red")):
            fields = {"metadata": json.dumps({"colour": colour})}
            assert client.put("/v1/images/mine", files={"file": plain(colour)}, data=fields).status_code in (200, 201)
            if stop.is_set():
                return

    with ThreadPoolExecutor(2) as pool:
        replacing = pool.submit(replace)
        try:
            for _ in range(60):
                body = {"text": "red", "filter": {"colour": "red"}}
                for result in client.post("/v1/search", json=body).json()["results"]:
                    assert (result["score"], result["metadata"]) == (1, {"colour": "red"})
        finally:
            stop.set()
        replacing.result()


# Relevance


def test_relevance_falls_with_the_score_and_cuts_off_what_is_not_meant(gallery: TestClient) -> None:
    results = gallery.get("/v1/search?q=red").json()["results"]
    relevances = [result["relevance"] for result in results]
    assert relevances == sorted(relevances, reverse=True)
    assert relevances[0] > 0.9
    assert relevances[1] < 0.1
    assert ids(gallery.get("/v1/search?q=red&min_relevance=0.5")) == ["red"]
    assert ids(gallery.get("/v1/search?q=red&min_relevance=0.5&offset=1")) == []
    assert ids(gallery.post("/v1/search", json={"image": {"id": "red"}, "min_relevance": 0.5})) == ["red"]
    assert len(ids(gallery.get("/v1/search?q=red&min_relevance=0"))) == 3


def test_relevance_does_not_depend_on_the_page_or_the_filter(client: TestClient) -> None:
    for n in range(40):
        add(client, noise(n), name=f"p{n}", metadata={"n": n})
    whole = client.get("/v1/search?q=red&limit=40").json()["results"]
    known = {result["id"]: result["relevance"] for result in whole}
    for parameters in ({"limit": 5, "offset": 10}, {"filter": '{"n": {"$lt": 7}}'}):
        for result in client.get("/v1/search", params={"q": "red", **parameters}).json()["results"]:
            assert result["relevance"] == known[result["id"]]


# Pictures at an address


def test_a_picture_at_an_address_is_fetched_only_where_that_is_allowed(gallery: TestClient) -> None:
    body = {"image": {"url": "https://pictures.example/green.png"}}
    assert "by their address" in gallery.post("/v1/search", json=body).json()["detail"]

    class Web:
        def fetch(self, url: str) -> bytes:
            return plain("green") if url == body["image"]["url"] else b""

    gallery.app.state.fetcher = Web()  # type: ignore[attr-defined]
    assert ids(gallery.post("/v1/search", json=body))[0] == "green"
    assert ids(gallery.post("/v1/search", json={"query": [body]}))[0] == "green"


# What is sent how


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", None])
def test_json_is_read_whatever_curl_calls_it(gallery: TestClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert ids(gallery.post("/v1/search", content=b'{"text": "red"}', headers=headers))[0] == "red"


def test_what_is_neither_json_nor_a_form_is_refused(gallery: TestClient) -> None:
    answer = gallery.post("/v1/search", content=plain("red"), headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")


def test_a_form_may_hold_large_pictures_in_its_json(gallery: TestClient) -> None:
    """Beyond the megabyte that a part may have in Starlette's own forms."""
    large = base64.b64encode(plain("green", (1200, 1200), "BMP")).decode()
    assert len(large) > 2_000_000
    assert ids(gallery.post("/v1/search", files={"image": (None, json.dumps({"base64": large}))}))[0] == "green"
