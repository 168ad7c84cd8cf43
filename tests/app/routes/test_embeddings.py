"""Vectors that leave the service are those it searches with; whatever is asked wrongly is answered as OpenAI would."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.inference.embedding import WINDOW
from app.inference.queries import SentPicture
from app.schemas.dialects import OpenAIError
from app.schemas.embeddings import MAX_INPUTS, EmbeddingsAnswer
from app.settings import Settings
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise, plain
from tests.app.running import add, opened


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def embed(client: TestClient, inputs: object, **fields: object) -> EmbeddingsAnswer:
    answer = client.post("/v1/embeddings", json={"input": inputs, **fields})
    assert answer.status_code == 200, answer.text
    return EmbeddingsAnswer.model_validate(answer.json())


def refusal(client: TestClient, **request: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post("/v1/embeddings", **request)
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    OpenAIError.model_validate(answer.json())
    error: dict[str, Any] = answer.json()["error"]
    return answer.status_code, error


def test_a_vector_finds_what_its_input_finds(client: TestClient) -> None:
    add(client, plain("red"), name="red")
    add(client, plain("blue"), name="blue")
    for inputs in ("blue", {"text": "blue"}, {"image": encoded(plain("blue"))}):
        (one,) = embed(client, inputs).data
        (best,) = client.post("/v1/search", json={"vector": one.embedding, "limit": 1}).json()["results"]
        assert (best["id"], best["score"]) == ("blue", pytest.approx(1, abs=1e-5))


def test_a_string_is_always_text_whatever_it_looks_like(client: TestClient) -> None:
    picture = f"data:image/png;base64,{encoded(noise(1, side=64))}"
    address = "https://example.org/cat.png"
    text, place, image = (one.embedding for one in embed(client, [picture, address, {"image": picture}]).data)
    expected = ColourEncoder().encode_texts([picture, address])
    np.testing.assert_allclose([text, place], expected, atol=1e-6)
    assert image != text


@pytest.mark.parametrize("wrap", ["{}", "data:image/png;base64,{}", "DATA:;base64,{}"])
def test_a_picture_may_be_a_data_uri(client: TestClient, wrap: str) -> None:
    (one,) = embed(client, [{"image": wrap.format(encoded(plain("red")))}]).data
    (plainly,) = embed(client, {"image": encoded(plain("red"))}).data
    assert one.embedding == plainly.embedding


def test_vectors_are_of_unit_length(client: TestClient) -> None:
    for one in embed(client, ["a", "b", {"image": encoded(noise(3))}]).data:
        assert isinstance(one.embedding, list)
        assert math.fsum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-5)


def test_many_inputs_keep_their_order(client: TestClient) -> None:
    texts = [f"text {number}" for number in range(3 * WINDOW + 1)]
    answer = embed(client, texts)
    assert [one.index for one in answer.data] == list(range(len(texts)))
    np.testing.assert_allclose([one.embedding for one in answer.data], ColourEncoder().encode_texts(texts), atol=1e-6)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), min_size=1, max_size=5))
def test_any_texts_become_the_vectors_of_the_model(client: TestClient, texts: list[str]) -> None:
    answer = embed(client, texts, encoding_format="base64")
    vectors = [np.frombuffer(base64.b64decode(str(one.embedding)), "<f4") for one in answer.data]
    np.testing.assert_array_equal(vectors, ColourEncoder().encode_texts(texts))


def test_what_openai_allows_beside_is_taken(client: TestClient) -> None:
    answer = embed(client, "red", model="text-embedding-3-small", user="me", dimensions=64, encoding_format=None)
    assert answer.model == "colours"  # what made the vectors, not what was asked for
    assert isinstance(answer.data[0].embedding, list)


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        (b"", None, "JSON"),
        (b"{", None, "JSON"),
        (b"[]", None, "object"),
        (b"[" * 100_000, None, "JSON"),
        (b"{}", "input", "required"),
        (b'{"input": null}', "input", "array"),
        (b'{"input": 7}', "input", "array"),
        (b'{"input": [7]}', "input.0", "every model has its own"),
        (b'{"input": [[7, 8]]}', "input.0", "every model has its own"),
        (b'{"input": [null]}', "input.0", "object"),
        (b'{"input": "\\ud800"}', None, "JSON"),
        (b'{"input": ["red", {}]}', "input.1", "either text or image"),
        (b'{"input": [{"text": "a", "image": "b"}]}', "input.0", "either text or image"),
        (b'{"input": [{"txt": "a"}]}', "input.0.txt", "not permitted"),
        (b'{"input": [{"image": ""}]}', "input.0.image", "at least 1"),
        (b'{"input": [{"image": "&&&"}]}', "input.0.image", "base64"),
        (b'{"input": [{"image": "https://example.org/cat.png"}]}', "input.0.image", "does not fetch"),
        (b'{"input": "red", "dimensions": 65}', "dimensions", "64 numbers"),
        (b'{"input": "red", "encoding_format": "int8"}', "encoding_format", "float"),
        (b'{"input": "' + b"x" * 32_769 + b'"}', "input.0.text", "32768"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_a_reason(
    client: TestClient, body: bytes, param: str | None, word: str
) -> None:
    status, error = refusal(client, content=body)
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert word in error["message"]


def test_there_is_a_limit_to_the_inputs_of_a_request(client: TestClient) -> None:
    status, error = refusal(client, json={"input": ["x"] * (MAX_INPUTS + 1)})
    assert (status, error["param"]) == (400, "input")


@pytest.mark.parametrize("place", [0, WINDOW - 1, WINDOW, WINDOW + 1])
def test_of_many_pictures_the_bad_one_is_named(client: TestClient, place: int) -> None:
    inputs: list[Any] = [{"image": encoded(plain("red"))} for _ in range(WINDOW + 3)]
    inputs[place] = {"image": encoded(plain("red")[:60])}
    status, error = refusal(client, json={"input": inputs})
    assert (status, error["param"]) == (400, f"input.{place}.image")


def test_other_errors_are_said_in_the_same_way(tmp_path: Path) -> None:
    closed = Settings(data=tmp_path, demo=False, api_keys=("secret",), max_upload_mb=1)  # type: ignore[arg-type]
    with opened(closed) as client:
        status, error = refusal(client, json={"input": "red"})
        assert (status, error["type"], error["code"]) == (401, "invalid_request_error", "invalid_api_key")
        key = {"Authorization": "Bearer secret"}
        status, error = refusal(client, content=b"x" * 1_000_001, headers=key)
        assert (status, error["type"]) == (413, "invalid_request_error")
        answer = client.get("/v1/embeddings", headers=key)
        assert (answer.status_code, answer.json()["error"]["type"]) == (405, "invalid_request_error")
        assert client.post("/v1/embeddings", json={"input": "red"}, headers=key).status_code == 200


class Failing(ColourEncoder):
    """A model that fails on some words."""

    def encode_texts(self, texts: Sequence[str]) -> Any:
        if "bad" in texts:
            raise RuntimeError("the model is broken")
        return super().encode_texts(texts)


def test_a_fault_of_the_model_is_no_fault_of_the_client(settings: Settings) -> None:
    with opened(settings, Failing()) as client:
        status, error = refusal(client, json={"input": ["good", "bad"]})
        assert (status, error["type"], error["param"]) == (500, "server_error", None)
        assert "broken" not in error["message"]


def test_an_input_is_unpacked_only_when_its_turn_comes() -> None:
    """Thousands of pictures are never held as bytes at the same time."""
    from app.inference.embedding import embed as embed_inputs

    events: list[str] = []

    def encode(sources: Sequence[Any]) -> Any:
        events.append(f"encode {len(sources)}")
        return np.zeros((len(sources), 4), np.float32)

    def one() -> SentPicture:
        events.append("unpack")
        return SentPicture(b"")

    assert len(list(embed_inputs(encode, [one] * (WINDOW + 2)))) == WINDOW + 2
    assert events == ["unpack"] * WINDOW + [f"encode {WINDOW}"] + ["unpack"] * 2 + ["encode 2"]
