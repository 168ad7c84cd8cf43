"""A program can find out what makes the vectors, and so which of them it may compare."""

from __future__ import annotations

import time

from starlette.testclient import TestClient

from app.schemas.models import Model, ModelsAnswer
from app.settings import Settings
from tests.app.dummy import ColourEncoder
from tests.app.running import opened


def test_the_model_is_listed_with_its_size_and_fingerprint(client: TestClient) -> None:
    answer = ModelsAnswer.model_validate(client.get("/v1/models").json())
    (model,) = answer.data
    assert (model.id, model.embedding_size, model.fingerprint) == ("colours", 64, "c0105")
    assert 0 <= time.time() - model.created < 600
    assert Model.model_validate(client.get("/v1/models/colours").json()) == model


def test_a_model_that_is_not_there_is_not_found(client: TestClient) -> None:
    for name in ("gpt-9", "openai/clip-vit-base-patch32", "colours/"):
        answer = client.get(f"/v1/models/{name}")
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
        assert "'colours'" in error["message"]


class Slashed(ColourEncoder):
    """A model with the name of a repository."""

    name = "openai/clip-vit-base-patch32"


def test_a_name_with_a_slash_in_it_can_be_asked_for(settings: Settings) -> None:
    with opened(settings, Slashed()) as client:
        for name in ("openai/clip-vit-base-patch32", "openai%2Fclip-vit-base-patch32"):
            assert client.get(f"/v1/models/{name}").json()["id"] == Slashed.name
