"""The page and the documentation come with the service, and work without any other host."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from app import schemas
from app.http.dialects import dialect_of


@pytest.mark.parametrize("url", ["/", "/docs"])
def test_a_page_and_all_that_it_loads_is_there(client: TestClient, url: str) -> None:
    page = client.get(url)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]+)"', page.text)
    assert loaded
    for part in loaded:
        assert not part.startswith(("http", "//")), part
        assert client.get(part).status_code == 200, part


@pytest.mark.parametrize("url", ["/", "/docs", "/static/style.css"])
def test_a_page_is_asked_for_again_but_not_sent_again(client: TestClient, url: str) -> None:
    first = client.get(url)
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "../server.py", "%2e%2e/server.py", "docs/../../server.py"])
def test_only_files_of_the_page_are_served(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_a_head_is_a_get_without_its_body(client: TestClient) -> None:
    for url in ("/", "/livez", "/v1/images", "/nothing"):
        head, get = client.head(url), client.get(url)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_the_documentation_names_every_route_and_its_problems(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    routes = {
        f"{method.upper()} {path}": route
        for path, item in description["paths"].items()
        for method, route in item.items()
    }
    assert routes.keys() == {
        "POST /v1/images",
        "GET /v1/images",
        "GET /v1/images/{id}",
        "PUT /v1/images/{id}",
        "PATCH /v1/images/{id}",
        "DELETE /v1/images/{id}",
        "GET /v1/images/{id}/content",
        "GET /v1/images/{id}/thumbnail",
        "GET /v1/search",
        "POST /v1/search",
        "POST /v1/classify",
        "POST /v1/embeddings",
        "GET /v1/models",
        "GET /v1/models/{model}",
        "POST /knn-service",
        "GET /indices-list",
        "POST /metadata",
        "GET /livez",
        "GET /readyz",
        "GET /healthz",
        "GET /metrics",
    }
    for name, route in routes.items():
        assert route["summary"], name
        assert route["description"], name
        if dialect_of(name.split()[1]):
            assert "422" not in route["responses"], name
            assert "application/problem+json" not in str(route["responses"]), name
        elif "/v1/" in name:
            assert "application/problem+json" in route["responses"]["503"]["content"], name
            assert "application/json" not in route["responses"].get("422", {}).get("content", {}), name
    forms = routes["POST /v1/search"]["requestBody"]["content"]
    fields = {"text", "image", "vector", "query", "filter", "limit", "offset", "min_relevance"}
    for kind, more in (("application/json", set()), ("multipart/form-data", {"file"})):
        assert forms[kind]["schema"]["properties"].keys() == fields | more


def test_answers_are_as_documented(client: TestClient) -> None:
    schemas.ListAnswer.model_validate(client.get("/v1/images").json())
    schemas.SearchAnswer.model_validate(client.get("/v1/search?q=red").json())
    schemas.ReadyAnswer.model_validate(client.get("/readyz").json())
    schemas.Problem.model_validate(client.get("/v1/images/nobody").json())
