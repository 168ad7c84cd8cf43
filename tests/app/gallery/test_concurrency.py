"""Many at once: every answer is right for some moment, nobody waits for another's upload, queues are bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.gallery import gallery
from app.settings import Settings
from model.picture import Picture, decode
from tests.app.dummy import ColourEncoder
from tests.app.pictures import encoded, noise, plain
from tests.app.running import add, opened


def vector_of(data: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    (vector,) = ColourEncoder().encode_images([decode(data).image])
    return vector


def test_searches_during_writes_equal_brute_force_on_some_committed_state(client: TestClient) -> None:
    query = np.asarray(ColourEncoder().encode_texts(["red"])[0])
    # Shades of red, so that the answer changes with almost every write.
    shades = [encoded(Image.effect_noise((16, 16), n + 5).convert("RGB")) for n in range(120)]
    scores = {f"p{n}": float(vector_of(shade) @ query) for n, shade in enumerate(shades)}
    states: list[frozenset[str]] = [frozenset()]  # after each write that was begun
    finished = 0  # writes that were answered
    stop = threading.Event()
    checked = 0

    def search() -> None:
        nonlocal checked
        while not stop.is_set():
            first = finished
            results = client.get("/v1/search?q=red&limit=5").json()["results"]
            possible = states[first : len(states)]
            found = [(result["id"], result["score"]) for result in results]
            assert any(is_best_of(state, found) for state in possible), (found, possible)
            checked += 1

    def is_best_of(state: frozenset[str], found: list[tuple[str, float]]) -> bool:
        best = sorted((scores[one] for one in state), reverse=True)[:5]
        return (
            {one for one, _ in found} <= state
            and len(found) == len(best)
            and bool(np.allclose([score for _, score in found], best, atol=1e-5))
            and all(abs(scores[one] - score) < 1e-5 for one, score in found)
        )

    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(search) for _ in range(4)]
        try:
            for number, shade in enumerate(shades):
                states.append(states[-1] | {f"p{number}"})
                add(client, shade, name=f"p{number}")
                finished += 1
                if number % 3 == 2:
                    gone = min(states[-1], key=lambda one: -scores[one])  # the best one, which every answer shows
                    states.append(states[-1] - {gone})
                    assert client.delete(f"/v1/images/{gone}").status_code == 204
                    finished += 1
        finally:
            stop.set()
        for reader in reading:
            reader.result()
    assert checked > 20


def test_uploads_at_the_same_time_make_one_record_of_the_same_bytes(client: TestClient) -> None:
    def upload(_: int) -> dict[str, Any]:
        return add(client, plain("red"))

    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(upload, range(16)))
    assert len({image["id"] for image in images}) == 1
    assert sorted(image["duplicate"] for image in images) == [False] + [True] * 15


def test_uploads_at_the_same_time_give_an_id_once(client: TestClient) -> None:
    def upload(number: int) -> int:
        return client.post("/v1/images", files={"file": noise(number)}, data={"id": "mine"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(upload, range(16))) == [201] + [409] * 15


def test_adding_and_deleting_the_same_bytes_never_leaves_a_record_without_its_file(client: TestClient) -> None:
    def churn(number: int) -> None:
        for turn in range(6):
            name = f"{number}-{turn}"
            add(client, plain("red"), name=name)
            assert client.get(f"/v1/images/{name}/content").content == plain("red")
            client.delete(f"/v1/images/{name}")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(churn, number) for number in range(4)]:
            done.result()


@contextmanager
def stuck(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: Callable[..., bool]
) -> Iterator[threading.Event]:
    """A function waits, for some of its arguments, until the block ends. Gives an event: somebody waits."""
    entered, released = threading.Event(), threading.Event()
    original = getattr(module, name)

    def wait(*arguments: Any, **options: Any) -> Any:
        if when(*arguments):
            entered.set()
            released.wait(timeout=60)
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, wait)
    try:
        yield entered
    finally:
        released.set()


def test_searches_are_answered_while_uploads_take_their_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, plain("red"), name="red")
    slow = {noise(number) for number in range(20)}
    with ThreadPoolExecutor(20) as uploads:
        with stuck(monkeypatch, gallery, "decode", lambda data: data in slow) as begun:
            waiting = [uploads.submit(add, client, data) for data in slow]
            assert begun.wait(timeout=60)
            assert client.get("/v1/search?q=red").json()["results"][0]["id"] == "red"
            found = client.post("/v1/search", files={"file": plain("red")}).json()["results"]
            assert found[0]["id"] == "red"
            assert client.get("/livez").status_code == 200
            assert not any(upload.done() for upload in waiting)
        assert len({upload.result()["id"] for upload in waiting}) == 20


def test_when_the_queue_is_full_the_rest_is_refused_and_the_queue_recovers(settings: Settings) -> None:
    class Slow(ColourEncoder):
        released = threading.Event()

        def encode_texts(self, texts):  # type: ignore[no-untyped-def]
            self.released.wait(timeout=60)
            return super().encode_texts(texts)

    with opened(settings.model_copy(update={"queue": 4}), Slow()) as client, ThreadPoolExecutor(40) as pool:
        room = 16 + 4  # workers and queue
        asked = [pool.submit(client.get, "/v1/search?q=red") for _ in range(40)]
        answered = as_completed(asked, timeout=60)
        for _ in range(40 - room):
            answer = next(answered).result()
            assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
            assert int(answer.headers["retry-after"]) > 0
        Slow.released.set()
        assert {one.result().status_code for one in answered} == {200}
        assert client.get("/v1/search?q=red").status_code == 200


def test_decoding_happens_once_for_each_upload(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(data: bytes, *, max_pixels: int, at_least: int) -> Picture:
        decoded.append(data)
        return decode(data, max_pixels=max_pixels, at_least=at_least)

    monkeypatch.setattr(gallery, "decode", counted)
    image = add(client, plain("red"))
    client.get(f"/v1/images/{image['id']}/thumbnail")
    add(client, plain("red"))
    client.post("/v1/search", json={"image": {"id": image["id"]}})
    assert decoded == [plain("red")]
