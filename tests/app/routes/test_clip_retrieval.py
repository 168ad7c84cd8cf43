"""What clip-retrieval's clients send beside what `ClipClient` does, and what they get when they are wrong."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.records.duplicates import distinct
from app.schemas.clip_retrieval import KnnResult, PictureMetadata
from app.schemas.dialects import ClipRetrievalError
from tests.app.pictures import noise, plain
from tests.app.running import add


@pytest.fixture
def gallery(client: TestClient) -> TestClient:
    for colour in ("red", "green", "blue"):
        add(client, plain(colour), name=colour, metadata={"label": f"a {colour} wall"})
    return client


def ask(client: TestClient, **body: object) -> list[dict[str, Any]]:
    answer = client.post("/knn-service", json={"modality": "image", "num_images": 10, "indice_name": "x", **body})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()
    for result in results:
        KnnResult.model_validate(result)
    return results


def test_the_index_has_a_name(gallery: TestClient) -> None:
    assert gallery.get("/indices-list").json() == ["parallax"]


def test_the_first_thing_given_is_searched(gallery: TestClient) -> None:
    picture = base64.b64encode(plain("green")).decode()
    vector = gallery.post("/v1/embeddings", json={"input": "blue"}).json()["data"][0]["embedding"]
    assert ask(gallery, text="red", image=picture, embedding_input=vector)[0]["id"] == "red"
    assert ask(gallery, text="", image=picture, embedding_input=vector)[0]["id"] == "green"
    assert ask(gallery, image=f"{picture[:76]}\n{picture[76:]}\n")[0]["id"] == "green"
    assert ask(gallery, text=None, image=None, embedding_input=vector)[0]["id"] == "blue"


def test_a_result_has_the_address_and_the_title_of_its_picture(gallery: TestClient) -> None:
    best = ask(gallery, text="blue")[0]
    assert best.keys() == {"id", "similarity", "url", "caption", "label"}
    assert best["caption"] == best["label"] == "a blue wall"
    assert best["url"].startswith("http://testserver/v1/images/blue/content?v=")
    assert gallery.get(best["url"]).content == plain("blue")


def test_metadata_do_not_hide_the_facts_of_a_result(client: TestClient) -> None:
    add(client, plain("red"), name="red", metadata={"id": 7, "similarity": 9, "caption": "mine", "url": "mine too"})
    (result,) = ask(client, text="red")
    assert (result["id"], result["similarity"]) == ("red", pytest.approx(1, abs=1e-5))
    assert (result["caption"], result["url"]) == ("mine", "mine too")


def test_only_so_many_results_come_with_metadata(gallery: TestClient) -> None:
    results = ask(gallery, text="red", num_images=1, num_result_ids=3)
    assert [len(result) for result in results] == [5, 2, 2]
    metadata = gallery.post("/metadata", json={"ids": [one["id"] for one in results], "indice_name": "x"}).json()
    assert [one["id"] for one in metadata] == [one["id"] for one in results]
    assert metadata[0]["metadata"] == {name: results[0][name] for name in ("url", "caption", "label")}


def test_a_search_may_ask_for_more_than_there_is(gallery: TestClient) -> None:
    assert len(ask(gallery, text="red", num_images=20, num_result_ids=10_000)) == 3
    assert ask(gallery, text="red", num_images=0) == []


def test_an_empty_gallery_has_no_results(client: TestClient) -> None:
    for deduplicate in (False, True):
        assert ask(client, text="red", deduplicate=deduplicate) == []


def test_pictures_that_are_gone_have_no_metadata(gallery: TestClient) -> None:
    answer = gallery.post("/metadata", json={"ids": ["red", "nobody", 7], "indice_name": "x"}).json()
    assert [PictureMetadata.model_validate(one).id for one in answer] == ["red"]
    assert gallery.post("/metadata", json={"ids": [], "indice_name": "x"}).json() == []


def test_duplicates_are_shown_once_and_what_is_only_similar_stays(client: TestClient) -> None:
    for name, data in (("a", noise(1)), ("b", noise(2)), ("c", plain("red"))):
        add(client, data, name=name)
        add(client, data, name=f"{name}-again")
    every = [result["id"] for result in ask(client, text="red")]
    assert len(every) == 6
    once = [result["id"] for result in ask(client, text="red", deduplicate=True)]
    assert sorted(name[0] for name in once) == ["a", "b", "c"]
    assert once == [name for name in every if name in once]  # each where its best was


def test_distinct_keeps_the_first_of_each_kind() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0.01], [0, 0], [0, 0], [-1, 0]], np.float32)
    assert distinct(vectors) == [0, 1, 3, 4, 5]
    assert distinct(np.empty((0, 0), np.float32)) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "JSON"),
        (b"{}", "Give one of text, image"),
        (b'{"text": " "}', "Give one of text, image"),
        (b'{"text": "red", "modality": "text"}', "no texts"),
        (b'{"text": "red", "modality": "video"}', "modality"),
        (b'{"text": "red", "num_images": -1}', "num_images"),
        (b'{"text": "red", "num_images": 1e400}', "num_images"),
        (b'{"image": "&&&"}', "base64"),
        (b'{"image": "bm8gcGljdHVyZQ=="}', "not a picture"),
        (b'{"image_url": "http://127.0.0.1/"}', "does not fetch"),
        (b'{"embedding_input": [1, 2]}', "64"),
        (b'{"embedding_input": [NaN]}', "finite"),
        (b'{"embedding_input": ["x"]}', "embedding_input"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_reason(gallery: TestClient, body: bytes, word: str) -> None:
    answer = gallery.post("/knn-service", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    assert word in ClipRetrievalError.model_validate(answer.json()).message


def test_a_zero_vector_is_refused(gallery: TestClient) -> None:
    answer = gallery.post("/knn-service", json={"embedding_input": [0] * 64})
    assert (answer.status_code, "zero" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ids": "red"}', b'{"ids": [null]}', b'{"ids": [["red"]]}'])
def test_a_question_for_metadata_that_makes_no_sense_is_refused(gallery: TestClient, body: bytes) -> None:
    answer = gallery.post("/metadata", content=body)
    assert answer.status_code == 400
    assert "ids" in answer.json()["message"] or "JSON" in answer.json()["message"]
