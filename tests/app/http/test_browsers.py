"""The service is open to all that a browser on the same machine can be made to send, so each answer is careful."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.app.pictures import plain
from tests.app.running import add, opened

FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.fixture
def small(settings: Settings) -> Iterator[TestClient]:
    """A service that takes bodies of a megabyte."""
    with opened(settings.model_copy(update={"max_upload_mb": 1})) as client:
        yield client


def in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize(
    ("url", "kind", "head"),
    [
        ("/v1/images", "multipart/form-data; boundary=x", FORM),
        ("/v1/search", "multipart/form-data; boundary=x", FORM),
        ("/v1/search", "application/json", b'{"text": "'),
    ],
)
def test_a_body_over_the_limit_is_refused(small: TestClient, url: str, kind: str, head: bytes, chunked: bool) -> None:
    body = head + b"a" * 1_100_000
    answer = small.post(url, content=in_chunks(body) if chunked else body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert "1,000,000 bytes" in answer.json()["detail"]
    assert small.get("/v1/images").json()["total"] == 0


def test_a_body_just_within_the_limit_is_read(small: TestClient) -> None:
    filler = b" " * (1_000_000 - 30)
    assert small.post("/v1/search", content=b'{"text": "red"}' + filler).status_code == 200
    assert small.post("/v1/search", content=in_chunks(b'{"text": "red"}' + filler)).status_code == 200


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    image = add(client, plain("red"))
    for url in (
        "/",
        "/docs",
        "/static/app.js",
        "/v1/images",
        f"/v1/images/{image['id']}/content",
        "/nothing",
        "/livez",
    ):
        headers = client.get(url).headers
        assert headers["x-content-type-options"] == "nosniff", url
        assert headers["x-frame-options"] == "DENY", url
        assert headers["referrer-policy"] == "no-referrer", url
        assert "default-src 'none'" in headers["content-security-policy"], url


def test_pages_load_from_here_alone(client: TestClient) -> None:
    for page in ("/", "/docs"):
        policy = client.get(page).headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "img-src 'self' data: blob:" in policy
    # a picture that is opened by itself is no page
    assert "sandbox" in client.get("/v1/images").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Origin": "http://testserver"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_pages_of_other_sites_cannot_write(client: TestClient, headers: dict[str, str], status: int) -> None:
    answer = client.post("/v1/images", files={"file": plain("red")}, headers=headers)
    assert answer.status_code == status
    assert client.get("/v1/images", headers=headers).json()["total"] == (status == 201)
    assert answer.headers["x-content-type-options"] == "nosniff"


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("a secret path")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unexpected_error_tells_nothing_about_the_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    monkeypatch.setattr("app.gallery.gallery.Gallery.page", fail)
    answer = client.request(method, "/v1/images", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    if method == "GET":
        assert answer.json() == {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "Something went wrong inside the service. Its log says what, under the id of this request.",
            "request_id": "mine",
        }
    assert "a secret path" in caplog.text  # but the log does


def test_an_error_that_we_thought_of_tells_as_little_if_it_is_ours(
    client: TestClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    image = add(client, plain("red"))
    for file in (settings.data / "originals").rglob("*"):
        if file.is_file():
            file.unlink()
    answer = client.get(f"/v1/images/{image['id']}/content")
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.json()["title"] == "The file is missing"
    assert image["id"] not in answer.text
    assert image["id"] in caplog.text


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ä", "a\\nb", "<script>"])
def test_an_id_that_could_upset_a_log_is_replaced(client: TestClient, given: str) -> None:
    taken = client.get("/livez", headers={"X-Request-ID": given.encode()}).headers["x-request-id"]
    assert taken != given
    assert len(taken) == 16


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "192.168.1.5", "nas", "me.localhost", ""]
)
def test_our_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/v1/images", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "[::1", "evil.example."],
)
def test_the_name_of_another_site_is_not_ours(client: TestClient, host: str) -> None:
    """DNS rebinding: a page of evil.example has its name mean this machine, and reads the gallery as its own."""
    for answer in (
        client.get("/v1/images", headers={"Host": host}),
        client.post(
            "/v1/images", files={"file": plain("red")}, headers={"Host": host, "Sec-Fetch-Site": "same-origin"}
        ),
        client.get("/", headers={"Host": host}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
    assert client.get("/v1/images").json()["total"] == 0


@pytest.mark.parametrize("change", [{"allow_open": True}, {"api_keys": ["k" * 20]}])
def test_behind_a_proxy_the_service_has_the_name_that_it_is_given(settings: Settings, change: dict[str, Any]) -> None:
    with opened(Settings(data=settings.data, demo=False, **change)) as client:
        headers = {"Host": "photos.example", "X-API-Key": "k" * 20}
        assert client.get("/v1/images", headers=headers).status_code == 200


def test_a_body_that_nobody_asked_for_is_limited_too(small: TestClient) -> None:
    for url in ("/v1/images", "/v1/search?q=red", "/livez"):
        assert small.request("GET", url, content=b"a" * 1_100_000).status_code in (200, 413)
