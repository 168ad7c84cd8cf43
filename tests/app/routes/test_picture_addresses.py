"""Wherever a route takes the address of a picture, it is fetched with the same care, and only where that is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from starlette.testclient import TestClient

from app.security.fetching import Fetcher
from app.settings import Settings
from tests.app.loopback import Loopback, http, saying, talking
from tests.app.pictures import plain
from tests.app.running import add, opened

STRANGER = "127.0.0.2"

Ask = Callable[[TestClient, str], httpx.Response]

ROUTES: dict[str, Ask] = {
    "search": lambda client, url: client.post("/v1/search", json={"image": {"url": url}}),
    "search by parts": lambda client, url: client.post("/v1/search", json={"query": [{"image": {"url": url}}]}),
    "classify": lambda client, url: client.post(
        "/v1/classify", json={"image": {"url": url}, "labels": ["red", "blue"]}
    ),
    "embeddings": lambda client, url: client.post("/v1/embeddings", json={"input": [{"image": url}]}),
    "knn-service": lambda client, url: client.post("/knn-service", json={"image_url": url}),
    "upload": lambda client, url: client.post("/v1/images", data={"url": url}),
}


@pytest.fixture
def inside() -> Iterator[Loopback]:
    with talking(saying(http(plain("red")))) as server:
        yield server
        assert server.heard == []


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_fetches_unless_that_is_switched_on(client: TestClient, inside: Loopback, route: str) -> None:
    answer = ROUTES[route](client, f"http://127.0.0.1:{inside.port}/")
    assert answer.status_code in (400, 422)
    assert "PARALLAX_FETCH_URLS" in answer.text


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_fetches_from_the_inside(settings: Settings, inside: Loopback, route: str) -> None:
    with opened(settings.model_copy(update={"fetch_urls": True})) as client:
        answer = ROUTES[route](client, f"http://127.0.0.1:{inside.port}/")
        assert answer.status_code in (400, 422)
        assert "not a machine on the public internet" in answer.text


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_takes_the_address_of_a_picture(settings: Settings, route: str) -> None:
    with opened(settings) as client, talking(saying(http(plain("red"))), STRANGER) as stranger:
        add(client, plain("red"), name="red")
        client.app.state.fetcher = Fetcher(  # type: ignore[attr-defined]
            allowed=True, max_bytes=100_000, resolver=lambda *_: [STRANGER], may_connect=STRANGER.__eq__
        )
        answer = ROUTES[route](client, f"http://photos.example:{stranger.port}/red.png")
        assert answer.status_code in (200, 201), answer.text
        assert len(stranger.heard) == 1
