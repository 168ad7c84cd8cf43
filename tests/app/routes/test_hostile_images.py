"""Any bytes give a vector or a clear 4xx within bounded time and memory; the process lives, and a picture that can be
seen is encoded as it is seen.

Over HTTP, against a process with real decoding and preprocessing. A request has a minute, by the client's own limit.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.app.hostile_pictures import (
    EXACT,
    WHOLE,
    as_seen,
    bombs,
    broken_metadata,
    noisy,
    other_formats,
    saved,
    scene,
)
from tests.app.picture_service import MAX_PIXELS
from tests.app.process import Service, running

MEMORY = 192 << 20
"""Bytes that the process may take beyond what it has when it has opened. The largest picture allowed has 12 million
samples; some such, and what is made of them, are worked on at a time."""
BOMBS = bombs(MAX_PIXELS)
SEEN = as_seen()
METADATA = broken_metadata()
OTHERS = other_formats()
TURN_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # the camera's turn is the inverse of ours
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def peak(service: Service) -> int:
    """The most memory that the process ever took, in bytes."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, httpx.Client, int]]:
    with running(tmp_path_factory.mktemp("hostile"), module="picture_service") as (service, client):
        client.put("/v1/images/kept", files={"file": saved(noisy())}).raise_for_status()
        yield service, client, peak(service)


@pytest.fixture
def client(opened: tuple[Service, httpx.Client, int]) -> Iterator[httpx.Client]:
    """A service that, whatever the test has sent, lives on, has not grown, and still finds its picture."""
    service, client, before = opened
    yield client
    assert service.process.poll() is None
    assert client.get("/readyz").status_code == 200
    found = client.post("/v1/search", json={"image": {"id": "kept"}, "limit": 1}).json()["results"]
    assert [result["id"] for result in found] == ["kept"]
    assert peak(service) - before < MEMORY


def upload(client: httpx.Client, data: bytes) -> httpx.Response:
    """Any bytes, in a form that says it is a PNG; what was stored of them is taken away again."""
    answer = client.post("/v1/images", files={"file": ("picture.png", data, "image/png")})
    if answer.status_code == 201:
        (image,) = answer.json()["images"]
        if not image["duplicate"]:
            client.delete(f"/v1/images/{image['id']}").raise_for_status()
    else:
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    return answer


def vector(client: httpx.Client, data: bytes) -> NDArray[np.float64]:
    body: dict[str, Any] = {"input": [{"image": base64.b64encode(data).decode()}]}
    answer = client.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["data"][0]["embedding"])


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_or_read_in_bounded_memory(client: httpx.Client, name: str) -> None:
    status = upload(client, BOMBS[name]).status_code
    if "claims" in name or "30,000" in name or "one line" in name:
        assert status in {413, 422}
    if "allowed" in name or "frames" in name:
        assert status == 201
    answer = client.post("/v1/search", files={"file": BOMBS[name]})
    assert answer.status_code == (200 if status == 201 else status)


def test_many_bombs_in_one_request_take_no_more_than_one(client: httpx.Client) -> None:
    files = [("file", (name, data)) for name, data in BOMBS.items() if len(data) < 1_000_000] * 3
    answer = client.post("/v1/images", files=files)
    assert answer.status_code == 201
    images = {image["id"] for image in answer.json()["images"]}
    assert len(answer.json()["errors"]) >= 15
    for image in images:
        client.delete(f"/v1/images/{image}").raise_for_status()


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_off_anywhere_is_refused(client: httpx.Client, kind: str) -> None:
    whole = WHOLE[kind]
    assert upload(client, whole).status_code == 201
    for percent in range(0, 100, 5):
        assert upload(client, whole[: len(whole) * percent // 100]).status_code in {400, 415, 422}, percent


@pytest.mark.parametrize("kind", EXACT)
def test_a_picture_in_any_orientation_has_the_vector_of_the_upright_one(client: httpx.Client, kind: str) -> None:
    upright = vector(client, saved(scene(), kind, **EXACT[kind]))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        held = scene().transpose(TURN_BACK[orientation]) if orientation in TURN_BACK else scene()
        turned = saved(held, kind, exif=exif, **EXACT[kind])
        assert np.abs(vector(client, turned) - upright).max() < 1e-6, orientation
        if orientation > 1:
            assert np.abs(vector(client, saved(held, kind, **EXACT[kind])) - upright).max() > 1e-2


@pytest.mark.parametrize("name", SEEN)
def test_a_picture_has_the_vector_of_what_a_person_sees(client: httpx.Client, name: str) -> None:
    data, seen, off = SEEN[name]
    assert upload(client, data).status_code == 201
    assert np.abs(vector(client, data) - vector(client, saved(seen.convert("RGB")))).max() < off


@pytest.mark.parametrize("name", OTHERS)
def test_another_format_under_the_name_of_a_picture_is_refused(client: httpx.Client, name: str) -> None:
    assert upload(client, OTHERS[name]).status_code == 415


@pytest.mark.parametrize("name", METADATA)
def test_bad_metadata_never_loses_the_picture(client: httpx.Client, name: str) -> None:
    data, clean = METADATA[name]
    assert upload(client, data).status_code == 201
    assert np.abs(vector(client, data) - vector(client, clean)).max() < 1e-6


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file with some of it changed, left out, said twice or put in from another one."""
    files = [*WHOLE.values(), *(data for data, _ in METADATA.values()), SEEN["an animated PNG"][0]]
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["change", "leave out", "twice", "put in", "number"])):
            case "change":
                new = draw(st.binary(min_size=1, max_size=16))
                data[place : place + len(new)] = new
            case "leave out":
                del data[place : place + length]
            case "twice":
                data[place:place] = data[place : place + length]
            case "put in":
                other = draw(st.sampled_from(files))
                start = draw(st.integers(0, len(other) - 1))
                data[place:place] = other[start : start + length]
            case _:
                number = draw(st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
                data[place : place + 4] = number.to_bytes(4, draw(st.sampled_from(["big", "little"])))
    return bytes(data)


MUTATIONS = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(MUTATIONS, max_examples=200)
@given(data=damaged())
def test_a_damaged_file_is_read_or_refused(client: httpx.Client, data: bytes) -> None:
    assert upload(client, data).status_code in {201, 400, 413, 415, 422}


@pytest.mark.slow
@settings(MUTATIONS, max_examples=2000)
@given(data=damaged())
def test_2000_damaged_files_are_read_or_refused(client: httpx.Client, data: bytes) -> None:
    assert upload(client, data).status_code in {201, 400, 413, 415, 422}
