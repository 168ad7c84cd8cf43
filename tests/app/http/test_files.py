"""A part of a file can be asked for, and whoever asks for the wrong one is told so as everybody is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from app.http.files import OpenedFile
from tests.app.pictures import plain
from tests.app.running import add

FILES = ["/v1/images/red/content", "/", "/docs", "/static/app.js", "/static/docs/docs.js"]

NONSENSE = [
    "",
    "=",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=,",
    "bytes=1",
    "bytes=x-",
    "bytes=0x1-",
    "bytes=\u00b2-\u00b3",
]
NONSENSE += ["lines=1-2", "bytes=5-2", "bytes=0-1" + ",0-1" * 200, "bytes=9" + "9" * 5000 + "-"]


@pytest.fixture(autouse=True)
def _red(client: TestClient) -> None:
    add(client, plain("red"), name="red")


@pytest.mark.parametrize("url", FILES)
def test_part_of_a_file_can_be_asked_for(client: TestClient, url: str) -> None:
    whole = client.get(url).content
    for asked, part in (
        ("2-5", whole[2:6]),
        ("-3", whole[-3:]),
        ("7-", whole[7:]),
        ("7-99999999", whole[7:]),
        ("-99999999", whole),
    ):
        answer = client.get(url, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part), asked
    two = client.get(url, headers={"Range": "bytes=0-1,5-6"})
    assert (two.status_code, two.headers["content-type"].split(";")[0]) == (206, "multipart/byteranges")


@pytest.mark.parametrize("url", FILES)
def test_a_part_that_is_not_there_is_a_problem(client: TestClient, url: str) -> None:
    size = len(client.get(url).content)
    for beyond in (f"{size}-", "-0", "99999999-", "99999999-99999999999999999999999"):
        answer = client.get(url, headers={"Range": f"bytes={beyond}"})
        assert (answer.status_code, answer.headers["content-type"]) == (416, "application/problem+json")
        assert answer.headers["content-range"] == f"bytes */{size}"
        assert answer.json()["status"] == 416
        assert f"{size:,} bytes" in answer.json()["detail"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("url", FILES)
def test_a_range_that_means_nothing_is_the_whole(client: TestClient, url: str) -> None:
    whole = client.get(url).content
    for nonsense in NONSENSE:
        answer = client.get(url, headers={"Range": nonsense.encode("latin-1")})
        assert (answer.status_code, answer.content) == (200, whole), nonsense[:50]


@pytest.mark.parametrize("url", FILES)
def test_the_head_of_a_file_has_no_parts(client: TestClient, url: str) -> None:
    """RFC 9110, 14.2: ranges are for GET."""
    for asked in ("bytes=2-5", "bytes=99999999-", "nonsense"):
        assert client.head(url, headers={"Range": asked}).status_code == 200


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
@pytest.mark.parametrize("asked", [[], [(b"range", b"bytes=1-")], [(b"range", b"bytes=1-9,20-")], [(b"range", b"no")]])
def test_a_picture_on_its_way_holds_one_file_descriptor(tmp_path: Path, asked: list[tuple[bytes, bytes]]) -> None:
    path = tmp_path / "picture"
    path.write_bytes(bytes(200_000))
    held: list[int] = []

    def count() -> int:
        return sum(os.path.realpath(each) == str(path) for each in Path("/proc/self/fd").iterdir())

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            held.append(count())

    answer = OpenedFile(path.open("rb"), {}, "image/png")
    asyncio.run(answer({"type": "http", "method": "GET", "headers": asked}, receive, send))
    assert len(held) > 3
    assert set(held) == {1}
    assert count() == 0
