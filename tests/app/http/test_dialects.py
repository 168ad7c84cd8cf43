"""On the routes of other APIs, whatever goes wrong is said as those APIs say it, and nothing that is sent is a 5xx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.testclient import TestClient

from app.http.dialects import dialect_of
from app.schemas.dialects import ClipRetrievalError, OpenAIError
from app.settings import Settings
from tests.app.running import opened

ROUTES: dict[str, type[BaseModel]] = {
    "POST /v1/embeddings": OpenAIError,
    "GET /v1/models": OpenAIError,
    "GET /v1/models/x": OpenAIError,
    "POST /knn-service": ClipRetrievalError,
    "GET /indices-list": ClipRetrievalError,
    "POST /metadata": ClipRetrievalError,
}


def ask(client: TestClient, route: str, **request: Any) -> tuple[int, dict[str, Any]]:
    """The status and the body of an answer that is an error, or {}."""
    method, path = route.split()
    answer = client.request(method, path, **request)
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    if answer.is_success:
        return answer.status_code, {}
    ROUTES[route].model_validate(answer.json())
    body: dict[str, Any] = answer.json()
    return answer.status_code, body


@pytest.mark.parametrize("route", ROUTES)
def test_a_missing_key_is_said_so(route: str, tmp_path: Path) -> None:
    with opened(Settings(data=tmp_path, demo=False, api_keys=("secret",))) as client:  # type: ignore[arg-type]
        status, body = ask(client, route)
        assert status == 401
        assert "asks for a key" in json.dumps(body)


@pytest.mark.parametrize("route", ROUTES)
def test_the_wrong_method_is_said_so(route: str, client: TestClient) -> None:
    answer = client.delete(route.split()[1])
    assert answer.status_code == 405
    assert ROUTES[route].model_validate(answer.json())


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "GET /indices-list"])
def test_a_service_that_is_not_ready_says_when_to_come_back(route: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"no folder")
    with opened(Settings(data=tmp_path / "data", demo=False)) as client:
        method, path = route.split()
        answer = client.request(method, path, json={})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert ROUTES[route].model_validate(answer.json())


@pytest.mark.parametrize("route", ["POST /v1/embeddings", "POST /knn-service", "POST /metadata"])
def test_a_full_queue_says_when_to_come_back(route: str, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for door in (client.app.state.searches, client.app.state.embeddings):  # type: ignore[attr-defined]
        monkeypatch.setattr(door, "_room", 0)
    method, path = route.split()
    answer = client.request(method, path, json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert ROUTES[route].model_validate(answer.json())


def test_an_address_that_is_not_there_is_no_missing_model(client: TestClient) -> None:
    answer = client.get("/v1/embeddings/x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, None)


def test_elsewhere_problems_are_said_as_such(client: TestClient) -> None:
    for path in ("/v1/embedding", "/v1/modelsx", "/metadatas", "/v1/images/nobody"):
        assert dialect_of(path) is None
        assert client.get(path).headers["content-type"] == "application/problem+json"


_LEAF = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5)
_KEYS = st.sampled_from(
    ["text", "image", "image_url", "embedding_input", "ids", "input", "num_images", "modality", "x"]
)
_JSON = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from([route for route in ROUTES if route.startswith("POST")]), body=_JSON)
def test_whatever_is_sent_is_answered_or_refused(client: TestClient, route: str, body: object) -> None:
    content = json.dumps(body).encode()
    status, _ = ask(client, route, content=content, headers={"Content-Type": "application/json"})
    assert status in {200, 400}
