"""What nobody waits for any more frees the decoders at once, and the answer to an upload says what was stored of it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from app.admission import claim
from app.admission.claim import Claim
from app.admission.door import Door
from app.errors import Abandoned, TooLate
from app.gallery import gallery
from app.gallery.gallery import Gallery, Upload
from app.inference.queries import Part, SentPicture
from app.settings import Settings
from app.startup import Startup
from model.errors import ParallaxError
from model.picture import Picture, decode
from tests.app.admission.test_overload import at_door, from_client, until
from tests.app.pictures import noise
from tests.app.running import add
from tests.app.storing import files

DECODERS = 4
"""At most."""


def send(client: TestClient, pictures: list[bytes]) -> httpx.Response:
    return client.post("/v1/images", files=[("file", (str(number), data)) for number, data in enumerate(pictures)])


def hashes(pictures: list[bytes]) -> set[str]:
    return {hashlib.sha256(data).hexdigest() for data in pictures}


def decoding(monkeypatch: pytest.MonkeyPatch, before: Callable[[bytes], object]) -> list[bytes]:
    """Have this done before each picture is decoded. Gives the pictures that were."""
    decoded: list[bytes] = []

    def observed(data: bytes, **options: Any) -> Picture:
        decoded.append(data)
        before(data)
        return decode(data, **options)

    monkeypatch.setattr(gallery, "decode", observed)
    return decoded


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set as soon as the claim of any request is dropped."""
    event, drop = threading.Event(), Claim.drop

    def observed(self: Claim, fault: ParallaxError) -> None:
        drop(self, fault)
        event.set()

    monkeypatch.setattr(Claim, "drop", observed)
    yield event
    event.set()


def test_when_time_is_up_what_is_done_is_kept_and_the_answer_says_which_pictures_are_not(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [noise(number) for number in range(150)]  # in three transactions; time is up during the second

    def end_time(data: bytes) -> None:
        if data == pictures[100]:
            in_force = claim._current.get()
            assert in_force is not None
            in_force.drop(TooLate("Time is up."))

    with monkeypatch.context() as patched:
        decoded = decoding(patched, end_time)
        answer = send(client, pictures)
    assert answer.status_code == 201
    images, errors = answer.json()["images"], answer.json()["errors"]
    failed = {int(error["filename"]) for error in errors}
    assert len(images) + len(failed) == 150
    assert set(range(100 + DECODERS, 150)) <= failed <= set(range(64, 150))
    assert {(error["problem"]["status"], error["problem"]["detail"]) for error in errors} == {(503, "Time is up.")}
    assert len(decoded) <= 100 + DECODERS
    stored = [data for number, data in enumerate(pictures) if number not in failed]
    assert [image["sha256"] for image in images] == [hashlib.sha256(data).hexdigest() for data in stored]
    assert client.get("/v1/images").json()["total"] == len(images)
    assert files(settings.data) == hashes(stored)  # and nothing is left staged, or in doubt

    again = send(client, pictures)
    assert (again.status_code, again.json()["errors"]) == (201, [])
    assert [image["duplicate"] for image in again.json()["images"]] == [number not in failed for number in range(150)]


def test_if_nothing_was_done_in_time_a_client_is_told_when_to_ask_again(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, dropped: threading.Event
) -> None:
    old = add(client, noise(0), name="mine")
    client.app.state.uploads = Door("uploads", workers=1, queue=1, seconds=0.05)  # type: ignore[attr-defined]
    decoded = decoding(monkeypatch, lambda _: dropped.wait(timeout=60))
    many = send(client, [noise(number) for number in range(1, 150)])
    assert len(decoded) <= DECODERS
    assert {error["problem"]["status"] for error in many.json()["errors"]} == {503}
    dropped.clear()
    one = client.put("/v1/images/mine", files={"file": noise(1)})
    for answer in (many, one):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert (answer.json()["type"], answer.headers["retry-after"]) == ("urn:parallax:problem:too-late", "2")
    assert client.get("/v1/images/mine").json()["sha256"] == old["sha256"]
    assert files(settings.data) == {old["sha256"]}


@pytest.mark.parametrize("kind", ["add", "put"])
def test_pictures_of_a_client_that_has_gone_are_not_decoded(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, dropped: threading.Event, kind: str
) -> None:
    startup: Startup = client.app.state.startup  # type: ignore[attr-defined]
    target: Gallery = startup.gallery
    begun = threading.Event()

    def wait(_: bytes) -> None:
        begun.set()
        dropped.wait(timeout=60)

    decoded = decoding(monkeypatch, wait)

    def work() -> list[Any]:
        if kind == "put":
            return [target.put(Upload(noise(0), "mine"))]
        return target.add_many(Upload(noise(number)) for number in range(150))

    async def requests(door: Door) -> Any:
        leaving = asyncio.Event()
        upload = asyncio.create_task(from_client(leaving, lambda: door.run(work)))
        await until(begun.is_set)
        leaving.set()
        return await upload

    outcome = at_door(requests)
    outcomes = outcome if isinstance(outcome, list) else [outcome]
    assert {type(one) for one in outcomes} == {Abandoned}
    assert len(decoded) <= DECODERS
    assert client.get("/v1/images").json()["total"] == 0
    assert files(settings.data) == set()


def test_a_picture_that_waited_for_a_decoder_for_too_long_is_not_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup: Startup = client.app.state.startup  # type: ignore[attr-defined]
    decoded = decoding(monkeypatch, lambda _: None)
    late, upload = Claim(), Upload(noise(0), "mine")
    late.drop(TooLate("Time is up."))
    with late.in_force():
        with pytest.raises(TooLate, match="Time is up"):
            startup.gallery.put(upload)
        with pytest.raises(TooLate, match="Time is up"):
            startup.gallery.add(upload)
    assert decoded == []


def test_what_waited_for_too_long_to_be_searched_with_or_shown_is_not_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup: Startup = client.app.state.startup  # type: ignore[attr-defined]
    sha256 = add(client, noise(0), name="mine")["sha256"]
    startup.gallery._store.originals.remove_thumbnail(sha256)
    decoded = decoding(monkeypatch, lambda _: None)
    late = Claim()
    late.drop(TooLate("Time is up."))
    with late.in_force():
        with pytest.raises(TooLate, match="Time is up"):
            startup.gallery.search([Part(SentPicture(noise(1)))], limit=1)
        with pytest.raises(TooLate, match="Time is up"):
            startup.gallery.thumbnail("mine")
    assert decoded == []
    startup.gallery.thumbnail("mine")
    assert decoded == [noise(0)]
