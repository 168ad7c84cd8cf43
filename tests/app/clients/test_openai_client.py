"""The official `openai` client works against the service unchanged: only its address is another."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain
from tests.app.process import running


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("data")) as (service, client):
        service.wait_for("ready:")
        yield f"{client.base_url}/v1"


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key="none is asked for", max_retries=0) as client:
        yield client


def image(data: bytes) -> dict[str, str]:
    return {"image": base64.b64encode(data).decode()}


def test_texts_become_the_vectors_of_the_model(client: openai.OpenAI) -> None:
    texts = ["red", "a blue wall", "red"]
    answer = client.embeddings.create(model="colours", input=texts)
    expected = ColourEncoder().encode_texts(texts)
    assert answer.object == "list"
    assert answer.model == "colours"
    assert [(one.index, one.object) for one in answer.data] == [(0, "embedding"), (1, "embedding"), (2, "embedding")]
    np.testing.assert_array_equal(np.array([one.embedding for one in answer.data], np.float32), expected)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens == 5


def test_a_single_text_is_one_input(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="colours", input="red")
    assert len(answer.data) == 1


def test_numbers_and_base64_are_the_same_vectors(client: openai.OpenAI) -> None:
    floats = client.embeddings.create(model="colours", input="red", encoding_format="float").data[0].embedding
    encoded: Any = client.embeddings.create(model="colours", input="red", encoding_format="base64").data[0].embedding
    assert isinstance(encoded, str)
    assert np.frombuffer(base64.b64decode(encoded), "<f4").tolist() == floats
    assert client.embeddings.create(model="colours", input="red").data[0].embedding == floats  # it asks for base64


def test_pictures_and_texts_share_a_space(client: openai.OpenAI) -> None:
    inputs: Any = [image(plain("red")), "red", {"text": "red"}, image(plain("blue"))]
    answer = client.embeddings.create(model="colours", input=inputs)
    red, word, object_, blue = (np.array(one.embedding) for one in answer.data)
    assert red @ word == pytest.approx(1, abs=1e-5)
    assert word.tolist() == object_.tolist()
    assert red @ blue < 0.5


def test_the_models_are_listed_and_can_be_asked_for(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object) == ("colours", "model")
    assert model.model_extra is not None
    assert (model.model_extra["embedding_size"], model.model_extra["fingerprint"]) == (64, "c0105")
    assert client.models.retrieve("colours") == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("request_", "param", "word"),
    [
        ({"input": ""}, "input.0.text", "at least 1"),
        ({"input": []}, "input", "at least 1"),
        ({"input": [[1, 2, 3]]}, "input.0", "every model has its own"),
        ({"input": ["red", image(b"no picture")]}, "input.1.image", "not a picture"),
        ({"input": "red", "dimensions": 8}, "dimensions", "64"),
        ({"input": "red", "encoding_format": "int8"}, "encoding_format", "base64"),
        ({"input": "red", "extra_body": {"modality": "image"}}, "modality", "not permitted"),
    ],
)
def test_a_bad_request_is_an_error_of_the_client(
    client: openai.OpenAI, request_: dict[str, Any], param: str, word: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="colours", **request_)
    error = caught.value
    assert (error.type, error.param) == ("invalid_request_error", param)
    assert isinstance(error.body, dict)
    assert word in error.body["message"]


def test_the_async_client_works_too(address: str) -> None:
    async def ask() -> list[float]:
        async with openai.AsyncOpenAI(base_url=address, api_key="-") as client:
            return (await client.embeddings.create(model="any name", input="red")).data[0].embedding

    np.testing.assert_array_equal(np.array(asyncio.run(ask()), np.float32), ColourEncoder().encode_texts(["red"])[0])
