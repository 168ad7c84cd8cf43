"""Who has no key gets nothing of the gallery, who may read changes nothing, and nobody learns a key from us."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import Message

from app import create_app
from app.http.authorization import needed
from app.security.keys import Access, Keyring, own_key
from app.settings import Settings
from tests.app.pictures import plain
from tests.app.running import add, opened

WRITE, READ = "write-" + "w" * 20, "read-" + "r" * 20
WRONG = [
    "",
    "no",
    READ[:-1],
    READ + "x",
    READ.upper(),
    WRITE[:-1],
    f"{READ},{WRITE}",
    " ",
    "sha256:" + "0" * 64,
    "\xff",
]

OPEN = {"GET /", "GET /docs", "GET /openapi.json", "GET /livez", "GET /readyz", "GET /healthz", "GET /static/{path}"}
READING = {
    "GET /v1/images",
    "GET /v1/images/{id}",
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
    "GET /metrics",
}
WRITING = {"POST /v1/images", "PUT /v1/images/{id}", "PATCH /v1/images/{id}", "DELETE /v1/images/{id}"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that asks for keys; it has one picture, and after the tests still this one."""
    settings = Settings(data=tmp_path_factory.mktemp("data"), demo=False, api_keys=[WRITE], read_keys=[READ])
    with opened(settings) as client:
        client.headers["Authorization"] = f"Bearer {WRITE}"
        image = add(client, plain("red"), name="red")
        del client.headers["Authorization"]
        yield client
        (left,) = client.get("/v1/images", headers=bearer(READ)).json()["images"]
        assert left["id"] == image["id"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def basic(key: str, user: str = "user") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode("latin-1")).decode()}


def status(client: TestClient, route: str, **options: Any) -> int:
    """Of a request that is no more than allowed or not; what it asks for is mostly not there."""
    method, _, path = route.partition(" ")
    for name in ("id", "model", "path"):
        path = path.replace(f"{{{name}}}", "app.js" if name == "path" else "nobody")
    return client.request(method, path, **options).status_code


def test_it_is_stated_of_every_route_who_may_use_it(closed: TestClient) -> None:
    paths = closed.get("/openapi.json").json()["paths"]
    documented = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert documented <= OPEN | READING | WRITING


@pytest.mark.parametrize("route", sorted(OPEN))
def test_pages_and_health_ask_for_no_key(closed: TestClient, route: str) -> None:
    assert status(closed, route) == 200
    assert status(closed, route, headers=bearer("no")) == 200
    assert status(closed, route.replace("GET", "HEAD")) == 200


@pytest.mark.parametrize("route", sorted(READING | WRITING))
def test_without_a_key_there_is_nothing(closed: TestClient, route: str) -> None:
    assert status(closed, route) == 401
    assert status(closed, route, params={"key": WRITE, "api_key": WRITE, "access_token": WRITE}) == 401
    assert status(closed, route, headers={"Cookie": f"key={WRITE}"}) == 401
    assert status(closed, route, headers={"Authorization": WRITE}) == 401
    assert status(closed, route, headers={"Authorization": f"Basic {WRITE}"}) == 401
    for spoilt in ("", "!", "dQ", "dTpw=", base64.b64encode(WRITE.encode()).decode(), basic("")["Authorization"][6:]):
        assert status(closed, route, headers={"Authorization": f"Basic {spoilt}"}) == 401


@pytest.mark.parametrize("key", WRONG)
@pytest.mark.parametrize("route", sorted(READING | WRITING))
def test_with_a_wrong_key_there_is_nothing(closed: TestClient, route: str, key: str) -> None:
    assert status(closed, route, headers={"Authorization": f"Bearer {key}".encode("latin-1")}) == 401
    assert status(closed, route, headers={"X-API-Key": key.encode("latin-1")}) == 401
    assert status(closed, route, headers=basic(key)) == 401
    assert status(closed, route, headers=basic(key, user=WRITE)) == 401  # a user is no secret: logs have them


@pytest.mark.parametrize("route", sorted(WRITING))
def test_who_may_read_may_not_write(closed: TestClient, route: str) -> None:
    assert status(closed, route, headers=bearer(READ)) == 403
    assert status(closed, route, headers={"X-API-Key": READ}) == 403
    assert status(closed, route, headers=basic(READ)) == 403


@pytest.mark.parametrize("route", sorted(READING))
def test_who_may_read_may_read_everything(closed: TestClient, route: str) -> None:
    assert status(closed, route, headers=bearer(READ)) not in (401, 403, 500)
    assert status(closed, route, headers={"X-API-Key": READ}) not in (401, 403, 500)
    assert status(closed, route, headers=basic(READ)) not in (401, 403, 500)


@pytest.mark.parametrize("route", sorted(READING | WRITING))
def test_who_may_write_may_do_everything(closed: TestClient, route: str) -> None:
    assert status(closed, route, headers=bearer(WRITE)) not in (401, 403, 500)
    assert status(closed, route, headers={"Authorization": f"bearer   {WRITE}"}) not in (401, 403, 500)
    assert status(closed, route, headers={"X-API-Key": WRITE}) not in (401, 403, 500)
    assert status(closed, route, headers={"X-API-Key": WRITE, **bearer("no")}) not in (401, 403, 500)
    for user in ("", "anyone", "jo@home"):
        assert status(closed, route, headers=basic(WRITE, user)) not in (401, 403, 500)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/images/",
        "/static",
        "/docs/",
        "/metrics/",
        "/V1/IMAGES",
        "/staticx",
        "/livez/%2e%2e/v1/images",
        "/%2e%2e/v1/images",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "TRACE", "FOO"])
def test_an_address_that_nobody_thought_of_is_closed(closed: TestClient, method: str, path: str) -> None:
    assert closed.request(method, path, follow_redirects=False).status_code == 401


@pytest.mark.parametrize(
    "path", ["/static/../v1/images", "/static/%2e%2e/v1/images", "/static//v1/images", "/static/..%2fv1/images"]
)
def test_no_way_leads_through_the_open_folder(closed: TestClient, path: str) -> None:
    answer = closed.request("GET", path)
    assert answer.status_code in (401, 404)
    assert "images" not in answer.json()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "FOO"])
def test_nothing_is_written_to_what_is_open_to_read(closed: TestClient, method: str) -> None:
    for path in ("/", "/docs", "/openapi.json", "/livez", "/static/app.js"):
        assert closed.request(method, path).status_code == 401
        assert closed.request(method, path, headers=bearer(READ)).status_code == 403


def test_a_key_may_hold_what_divides_user_and_password(settings: Settings) -> None:
    with opened(Settings(data=settings.data, demo=False, api_keys=["a:b:c"])) as client:
        assert client.get("/v1/images", headers=basic("a:b:c")).status_code == 200
        assert client.get("/v1/images", headers=basic("b:c", user="a")).status_code == 401


def test_no_browser_is_asked_for_a_password_that_it_would_send_for_every_site(closed: TestClient) -> None:
    for headers in ({}, basic("no"), basic(READ)):
        assert "Basic" not in closed.delete("/v1/images/red", headers=headers).headers["www-authenticate"]
    cross_site = {"Sec-Fetch-Site": "cross-site", **basic(WRITE)}
    assert closed.delete("/v1/images/red", headers=cross_site).status_code == 403


def test_a_refusal_says_what_to_send(closed: TestClient) -> None:
    for headers, challenge, word in (
        ({}, 'Bearer realm="parallax"', "Authorization: Bearer KEY"),
        (bearer("no"), 'Bearer realm="parallax", error="invalid_token"', "does not know"),
    ):
        answer = closed.get("/v1/images", headers=headers)
        assert answer.headers["www-authenticate"] == challenge
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert word in answer.json()["detail"]
    answer = closed.delete("/v1/images/red", headers=bearer(READ))
    assert answer.headers["www-authenticate"] == 'Bearer realm="parallax", error="insufficient_scope"'
    assert closed.get("/v1/images/red", headers=bearer(READ)).status_code == 200


def test_the_openai_route_refuses_as_openai_does(closed: TestClient) -> None:
    error = closed.post("/v1/embeddings", json={"input": "red"}).json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize("headers", [[], [(b"x-api-key", b"no")], [(b"x-api-key", READ.encode())]])
def test_who_is_refused_is_so_before_a_byte_of_the_body_is_read(settings: Settings, headers: list[Any]) -> None:
    app = create_app(Settings(data=settings.data, demo=False, api_keys=[WRITE], read_keys=[READ]))
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/images",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-length", b"99999999999"), *headers],
    }
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] in (401, 403)


def test_keys_only_to_read_make_a_service_that_nobody_changes(settings: Settings) -> None:
    with opened(Settings(data=settings.data, demo=False, read_keys=[READ])) as client:
        assert client.get("/v1/images", headers=bearer(READ)).status_code == 200
        assert client.post("/v1/images", files={"file": plain("red")}, headers=bearer(READ)).status_code == 403
        assert client.post("/v1/images", files={"file": plain("red")}).status_code == 401


def test_without_keys_nobody_is_asked(client: TestClient) -> None:
    assert client.get("/v1/images").status_code == 200
    assert client.get("/v1/images", headers=bearer("any")).status_code == 200


def test_a_key_may_be_given_by_its_hash(settings: Settings) -> None:
    hashed = "sha256:" + hashlib.sha256(WRITE.encode()).hexdigest()
    with opened(Settings(data=settings.data, demo=False, api_keys=[hashed])) as client:
        assert client.get("/v1/images", headers=bearer(WRITE)).status_code == 200
        assert client.get("/v1/images", headers=bearer(hashed)).status_code == 401  # who reads the settings has no key


def test_every_key_is_compared_whatever_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer says neither which key was nearly right, nor where in the list it stands."""
    compared = 0

    def counted(one: bytes, other: bytes) -> bool:
        nonlocal compared
        compared += 1
        assert len(one) == len(other) == 32  # hashes, so that their length says nothing either
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", counted)
    ring = Keyring(["a", "b", "c"], ["d"])
    for key, access in (("a", Access.WRITE), ("c", Access.WRITE), ("d", Access.READ), ("e", Access.NONE)):
        compared = 0
        assert ring.access(key) is access
        assert compared == 4


@given(st.text(), st.text())
def test_what_nobody_thought_of_needs_the_right_to_write(method: str, path: str) -> None:
    expected = Access.READ if method in {"GET", "HEAD", "OPTIONS"} else Access.WRITE
    assert needed(method, "/x" + path) is expected


def test_a_command_takes_the_key_of_its_own_settings() -> None:
    hashed = "sha256:" + "0" * 64
    settings = Settings(api_keys=[hashed, "writes"], read_keys=["reads"])
    assert own_key(settings, write=True) == "writes"
    assert own_key(settings, write=False) == "reads"
    assert own_key(Settings(api_keys=["writes"]), write=False) == "writes"
    assert own_key(Settings(api_keys=[hashed]), write=True) is None
    assert own_key(Settings(), write=True) is None


def test_the_documentation_says_that_a_key_is_asked_for(closed: TestClient, client: TestClient) -> None:
    description = closed.get("/openapi.json").json()
    assert description["components"]["securitySchemes"].keys() == {"bearer", "key", "basic"}
    assert description["paths"]["/v1/images"]["get"]["security"] == [{"bearer": []}, {"key": []}, {"basic": []}]
    assert "security" not in description["paths"]["/livez"]["get"]
    assert {} in client.get("/openapi.json").json()["paths"]["/v1/images"]["get"]["security"]
