"""Bad input gives a 4xx with a sentence that helps; nothing is stored, and the service goes on."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.settings import Settings
from tests.app.pictures import encoded, plain
from tests.app.running import add
from tests.model.test_picture import png_header

NOISY = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")

BAD_FILES = {
    "an empty file": (b"", 400, "empty"),
    "text named .png": (b"Dear diary", 415, "JPEG, PNG"),
    "a truncated JPEG": (NOISY[: len(NOISY) // 2], 422, "cut off"),
    "a PNG of 30,000 × 30,000": (png_header(30_000, 30_000), 413, "900,000,000 pixels"),
}


def stored(settings: Settings) -> set[Path]:
    return {
        path for name in ("originals", "thumbnails") for path in (settings.data / name).rglob("*") if path.is_file()
    }


@pytest.fixture
def client(client: TestClient, settings: Settings) -> Iterator[TestClient]:
    """A service with one picture. After the test it has that picture, nothing else, and still works."""
    kept = add(client, plain("red"))
    files = stored(settings)
    yield client
    assert [image["id"] for image in client.get("/v1/images").json()["images"]] == [kept["id"]]
    assert stored(settings) == files
    assert client.get("/v1/search?q=red").json()["results"][0]["id"] == kept["id"]
    assert not add(client, plain("blue"))["duplicate"]


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_not_added(client: TestClient, name: str) -> None:
    data, status, word = BAD_FILES[name]
    answer = client.post("/v1/images", files={"file": ("picture.png", data, "image/png")})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.json()["detail"]
    assert {"type", "title", "status", "detail"} <= answer.json().keys()


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_not_searched_with(client: TestClient, name: str) -> None:
    data, status, word = BAD_FILES[name]
    for answer in (
        client.post("/v1/search", files={"file": ("picture.png", data)}),
        client.post("/v1/search", json={"image": {"base64": base64.b64encode(data).decode()}}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert word in answer.json()["detail"]


def test_an_upload_without_a_file_is_told_what_is_missing(client: TestClient) -> None:
    for answer in (
        client.post("/v1/images"),
        client.post("/v1/images", data={"metadata": "{}"}),
        client.post("/v1/images", content=plain("blue"), headers={"Content-Type": "image/png"}),
        client.post("/v1/images", files={"picture": plain("blue")}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert "file" in answer.json()["detail"]


@pytest.mark.parametrize("url", ["/v1/search", "/v1/classify", "/v1/embeddings"])
def test_of_very_many_faults_and_very_long_names_little_is_told(client: TestClient, url: str) -> None:
    many = client.post(url, json={str(number): 1 for number in range(5000)})
    long = client.post(url, json={"x" * 1_000_000: 1})
    for answer in (many, long):
        assert 400 <= answer.status_code < 500
        assert len(answer.content) < 2000
    assert "faults in it" in many.text


def test_a_broken_form_is_refused(client: TestClient) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        for url in ("/v1/images", "/v1/search"):
            answer = client.post(url, content=b"no form at all", headers={"Content-Type": content_type})
            assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "utf-16", "idna", "nonsense", "\xff", '"utf-7"'])
def test_a_form_in_another_charset_is_refused_and_stores_nothing(client: TestClient, charset: str) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
    body = part % (b"good.png", plain("blue")) + part % (rb"\ud800", b"bad") + b"--B--"
    kind = f"multipart/form-data; boundary=B; charset={charset}".encode("latin-1")
    for url in ("/v1/images", "/v1/search", "/v1/classify"):
        answer = client.post(url, content=body, headers={b"Content-Type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
        assert "UTF-8" in answer.json()["detail"]
    spoken = {"Content-Type": "multipart/form-data; boundary=B; charset=UTF-8"}
    one = part % (b"good.png", plain("blue")) + b"--B--"
    assert client.post("/v1/search", content=one, headers=spoken).status_code == 200


@pytest.mark.parametrize("path", ["", "/content", "/thumbnail"])
def test_an_unknown_id_is_not_found(client: TestClient, path: str) -> None:
    for image_id in ("nobody", "%00", "%2e%2e%2fcatalog.sqlite3", "x" * 1000, "a%27%20OR%201=1"):
        answer = client.get(f"/v1/images/{image_id}{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/search", "GET, HEAD, POST"),
        ("/v1/images/x", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/knn-service", "POST"),
        ("/", "GET, HEAD"),
        ("/static/app.js", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(client: TestClient, path: str, methods: str) -> None:
    answer = client.request("TRACE", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_an_unknown_address_or_method_is_a_problem_too(client: TestClient) -> None:
    for answer, status in ((client.get("/v1/nothing"), 404), (client.put("/v1/images"), 405)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert "/docs" in answer.json()["detail"]
