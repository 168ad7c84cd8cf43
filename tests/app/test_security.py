"""The service is open to all that a browser on the same machine can be made to send, so each answer is careful."""

from __future__ import annotations

from collections.abc import Iterator

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
    ],
)
def test_pages_of_other_sites_cannot_write(client: TestClient, headers: dict[str, str], status: int) -> None:
    answer = client.post("/v1/images", files={"file": plain("red")}, headers=headers)
    assert answer.status_code == status
    assert client.get("/v1/images", headers=headers).json()["total"] == (status == 201)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_unexpected_error_tells_nothing_about_the_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr("app.catalog.Catalog.count", fail)
    answer = client.get("/v1/images")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "a secret path" in caplog.text  # but the log does
