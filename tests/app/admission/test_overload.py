"""More requests than the service can do are refused at once and politely; the others do not suffer, nothing grows."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient
from starlette.types import Message

from app.admission import bodies
from app.admission.bodies import BodyLimit, Room
from app.admission.claim import Claim, claimed
from app.admission.door import Door
from app.admission.presence import Presence
from app.errors import Abandoned, NotFound, Overloaded, TooLate
from app.gallery.gallery import Gallery
from app.inference.lane import Lane
from app.settings import Settings
from model.errors import ParallaxError
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise
from tests.app.process import Service, running
from tests.app.running import opened
from tests.app.test_shutdown import gate, gated, open_the

__all__ = ["gate", "gated"]

CLIENTS, QUEUE, WORKERS, WRITERS = 64, 32, 16, 8


class Held(ColourEncoder):
    """Encodes words when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def encode_texts(self, texts: Any) -> NDArray[np.float32]:
        self.released.wait(timeout=60)
        return super().encode_texts(texts)


def resident(pid: int) -> int:
    """Bytes of memory."""
    return 4096 * int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def test_64_clients_on_a_queue_of_32_are_answered_or_told_when_to_come_back(settings: Settings) -> None:
    encoder = Held()
    with (
        opened(settings.model_copy(update={"queue": QUEUE}), encoder) as client,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        for words in ("red", "green", "blue"):  # it recovers, every time; words that were asked before are remembered
            encoder.released.clear()
            asked = [pool.submit(client.get, f"/v1/search?q={words}") for _ in range(CLIENTS)]
            answered = as_completed(asked, timeout=60)
            for _ in range(CLIENTS - QUEUE - WORKERS):
                answer = next(answered).result()
                assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
                assert int(answer.headers["retry-after"]) > 0
            assert client.get("/livez").status_code == 200
            assert client.get("/v1/images/nobody").status_code == 404  # what is in no queue goes on
            encoder.released.set()
            assert {one.result().status_code for one in answered} == {200}
            assert client.get("/v1/search?q=red").status_code == 200
        door: Door = client.app.state.searches  # type: ignore[attr-defined]
        assert (door.working, door.waiting) == (0, 0)


def test_deletes_that_wait_for_each_other_are_queued_like_other_writes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def held(self: Gallery, image_id: str) -> None:
        released.wait(timeout=60)
        raise NotFound(image_id)

    monkeypatch.setattr(Gallery, "delete", held)
    with opened(settings.model_copy(update={"queue": QUEUE})) as client, ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(client.delete, "/v1/images/x") for _ in range(CLIENTS)]
        answered = as_completed(asked, timeout=60)
        refused = [next(answered).result() for _ in range(CLIENTS - QUEUE - WRITERS)]
        assert {(one.status_code, "retry-after" in one.headers) for one in refused} == {(429, True)}
        assert client.get("/metrics").status_code == client.get("/v1/models").status_code == 200
        released.set()
        assert {one.result().status_code for one in answered} == {404}


def test_under_overload_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLAX_QUEUE", "1")
    with running(tmp_path) as (service, client), ThreadPoolExecutor(CLIENTS) as pool:
        service.wait_for("ready")
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
        with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False, limits=limits) as crowd:

            def search(number: int) -> int:
                return crowd.post("/v1/search", files={"file": noise(number, 64)}).status_code

            def wave(count: int) -> set[int]:
                return set(pool.map(search, range(count)))

            assert wave(300) <= {200, 429}
            before = resident(service.process.pid)
            assert wave(600) <= {200, 429}  # a fast machine refuses few
            assert resident(service.process.pid) - before < 20_000_000
            assert search(0) == 200


# Whoever does not wait any more makes no work.


def at_door(
    requests: Callable[[Door], Awaitable[Any]], *, workers: int = 1, queue: int = 8, seconds: float = 60
) -> Any:
    async def run() -> Any:
        return await requests(Door("searches", workers=workers, queue=queue, seconds=seconds))

    return asyncio.run(run())


async def from_client(gone: asyncio.Event, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do this as the request of a client that closes its connection at some time."""

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    result: list[Any] = []

    async def route(*_: Any) -> None:
        try:
            result.append(await work())
        except ParallaxError as error:
            result.append(error)

    await Presence(route)({"type": "http"}, receive, None)  # type: ignore[arg-type]
    return result[0]


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


def test_what_waits_for_a_client_that_has_gone_is_not_done() -> None:
    done: list[str] = []
    released = threading.Event()

    async def requests(door: Door) -> None:
        leaving, staying = asyncio.Event(), asyncio.Event()
        busy = asyncio.create_task(door.run(released.wait))
        await until(lambda: door.working == 1)
        first = asyncio.create_task(from_client(leaving, lambda: door.run(done.append, "gone")))
        second = asyncio.create_task(from_client(staying, lambda: door.run(done.append, "there")))
        await until(lambda: door.waiting == 2)
        leaving.set()
        assert isinstance(await first, Abandoned)
        assert door.waiting == 1
        released.set()
        await asyncio.gather(busy, second)

    at_door(requests)
    assert done == ["there"]


def test_what_waits_for_too_long_is_told_so_and_not_done() -> None:
    done: list[str] = []
    released = threading.Event()

    async def requests(door: Door) -> None:
        busy = asyncio.create_task(door.run(released.wait))
        await until(lambda: door.working == 1)
        with pytest.raises(TooLate, match=r"0\.05 seconds"):
            await door.run(done.append, "late")
        released.set()
        await busy  # what was begun in time is finished

    at_door(requests, seconds=0.05)
    assert done == []


def test_begun_work_gives_up_what_the_model_has_not_been_given(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Held()
    lane = Lane(encoder)

    async def requests(door: Door) -> None:
        leaving = asyncio.Event()
        first = asyncio.create_task(door.run(lambda: lane.text("first").result()))
        await until(lambda: lane.seconds_at_batch() > 0)
        second = asyncio.create_task(from_client(leaving, lambda: door.run(lambda: lane.text("second").result())))
        await until(lambda: door.working == 2 and len(lane._texts.waiting) == 1)
        leaving.set()
        assert isinstance(await second, Abandoned)  # though the model is still at the first one
        assert not first.done()
        encoder.released.set()
        await first

    encoded: list[list[str]] = []
    original = encoder.encode_texts
    lane._texts.encode = lambda texts: (encoded.append(list(texts)), original(texts))[1]
    try:
        at_door(requests, workers=2)
    finally:
        encoder.released.set()
        lane.close()
    assert encoded == [["first"]]


def test_an_answer_that_comes_before_the_client_goes_is_an_answer() -> None:
    async def requests(door: Door) -> Any:
        return await from_client(asyncio.Event(), lambda: door.run(lambda: 7))

    assert at_door(requests) == 7


def test_what_work_raises_is_raised_and_its_place_is_free_again() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def requests(door: Door) -> None:
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                await door.run(fail)
        released = threading.Event()
        waiting = [asyncio.create_task(door.run(released.wait)) for _ in range(9)]
        await until(lambda: (door.working, door.waiting) == (1, 8))
        with pytest.raises(Overloaded):
            await door.run(fail)
        for one in waiting[1:]:
            one.cancel()
        await until(lambda: door.waiting == 0)
        released.set()
        await waiting[0]

    at_door(requests)


def test_begun_work_that_the_server_waits_for_no_longer_gives_up_what_the_model_has_not_been_given() -> None:
    """uvicorn cancels what is not done thirty seconds after SIGTERM, and then the model goes away."""
    begun, released, given = threading.Event(), threading.Event(), Future[int]()

    def work() -> None:
        begun.set()
        assert released.wait(60)
        claimed(given)

    async def requests(door: Door) -> None:
        request = asyncio.create_task(door.run(work))
        await until(begun.is_set)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        released.set()
        await until(given.cancelled)

    at_door(requests)


def test_a_dropped_claim_cancels_what_it_holds_and_what_comes_later() -> None:
    claim = Claim()
    begun, waiting, later, of_nobody = Future[int](), Future[int](), Future[int](), Future[int]()
    with claim.in_force():
        claimed(begun)
        claimed(waiting)
        assert begun.set_running_or_notify_cancel()
        claim.drop(TooLate("late"))
        claimed(later)
    claimed(of_nobody)
    begun.set_result(1)
    assert begun.result() == 1
    assert not of_nobody.cancelled()
    for future in (waiting, later):
        with pytest.raises(CancelledError):
            future.result()


def test_a_search_whose_client_has_gone_never_reaches_the_model(
    gated: tuple[Service, httpx.Client], gate: Path
) -> None:
    service, client = gated
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.get, "/v1/search?q=first")
        service.wait_for("encoding first")
        with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60) as gone:
            gone.sendall(b"GET /v1/search?q=gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert "499" in service.wait_for("499")  # its line in the access log
        third = pool.submit(client.get, "/v1/search?q=third")
        open_the(gate)
        assert first.result().status_code == 200
        assert service.wait_for("encoding ") == "encoding third\n"
        open_the(gate)
        assert third.result().status_code == 200


# Bodies


async def send_body(limit: BodyLimit, parts: list[bytes], headers: list[tuple[bytes, bytes]] | None = None) -> int:
    """What the service holds when the body has been read; HTTPException if it is refused."""
    unsent = list(parts)

    async def receive() -> Message:
        if not unsent:
            await asyncio.sleep(3600)
        part = unsent.pop(0)
        return {"type": "http.request", "body": part, "more_body": part != b"end"}

    await limit({"type": "http", "headers": headers or []}, receive, None)  # type: ignore[arg-type]
    return 0


def reading(held: list[int], room: Room) -> Any:
    async def app(_: Any, receive: Any, __: Any) -> None:
        while (await receive())["more_body"]:
            pass
        held.append(room.held)

    return app


def refusal(limit: BodyLimit, parts: list[bytes]) -> tuple[int, Any]:
    from starlette.exceptions import HTTPException

    with pytest.raises(HTTPException) as raised:
        asyncio.run(send_body(limit, parts))
    return raised.value.status_code, raised.value.headers


def test_a_client_that_pauses_in_the_middle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PAUSE_SECONDS", 0.05)
    room = Room(1000)
    assert refusal(BodyLimit(reading([], room), 1000, room), [b"a", b"b"])[0] == 408
    assert room.held == 0


def test_a_client_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0)
    monkeypatch.setattr(bodies, "LEAST_BYTES_A_SECOND", 1e12)
    room = Room(1000)
    assert refusal(BodyLimit(reading([], room), 1000, room), [b"a"] * 500)[0] == 408


def test_bodies_are_held_up_to_a_limit_whoever_sends_them() -> None:
    held: list[int] = []
    room = Room(100)
    limit = BodyLimit(reading(held, room), 80, room)
    asyncio.run(send_body(limit, [b"a" * 60, b"end"]))
    assert (held, room.held) == ([63], 0)
    assert room.take(50)
    status, headers = refusal(limit, [b"a" * 60, b"end"])
    assert (status, headers) == (429, {"Retry-After": "1"})
    assert room.held == 50
    room.give_back(50)
    asyncio.run(send_body(limit, [b"a" * 60, b"end"]))
    assert room.held == 0


def test_the_room_for_bodies_is_empty_when_all_is_answered(client: TestClient) -> None:
    for number in range(3):
        client.post("/v1/images", files={"file": noise(number)})
    client.post("/v1/images", content=b"a" * 1000, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert client.app.state.bodies.held == 0  # type: ignore[attr-defined]


@pytest.fixture
def crowded(settings: Settings) -> Iterator[TestClient]:
    with opened(settings) as client:
        client.app.state.bodies.take(8 * 25_000_000 - 100)  # type: ignore[attr-defined]
        yield client


def test_where_there_is_no_room_for_a_body_searches_by_words_go_on(crowded: TestClient) -> None:
    answer = crowded.post("/v1/images", files={"file": noise(0)})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "room" in answer.json()["detail"]
    assert crowded.get("/v1/search?q=red").status_code == 200
    assert crowded.post("/v1/search", json={"text": "red"}).status_code == 200
