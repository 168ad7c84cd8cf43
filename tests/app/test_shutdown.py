"""A service that is told to stop finishes what it has accepted, takes nothing new, and says that all is well."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.app.pictures import noise
from tests.app.process import Service, running


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def gated(tmp_path: Path, gate: Path) -> Iterator[tuple[Service, httpx.Client]]:
    with running(tmp_path / "data", gate, module="gated_service") as (service, client):
        service.wait_for("ready")
        yield service, client


def open_the(gate: Path) -> None:
    gate.write_text("go\n")


def wait_until_refused(client: httpx.Client) -> None:
    """Connect until the service listens no more."""
    address = (client.base_url.host, client.base_url.port or 80)
    while True:
        try:
            socket.create_connection(address, timeout=60).close()
        except ConnectionError:
            return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_accepted_request_is_answered_before_the_service_ends_well(
    gated: tuple[Service, httpx.Client], gate: Path, number: signal.Signals
) -> None:
    service, client = gated
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.get, "/v1/search?q=first")
        service.wait_for("encoding first")
        service.process.send_signal(number)
        wait_until_refused(client)
        assert not asked.done()
        open_the(gate)
        assert asked.result().status_code == 200
    assert service.process.wait(timeout=60) == 0


def test_every_upload_that_was_answered_is_there_afterwards(tmp_path: Path) -> None:
    kept: list[str] = []

    def upload(client: httpx.Client, first: int) -> int:
        """Until the service refuses."""
        for number in range(first, first + 10_000):
            try:
                answer = client.post("/v1/images", files={"file": noise(number)}, data={"id": f"n{number}"})
            except httpx.TransportError:
                return number
            assert answer.status_code == 201
            kept.append(f"n{number}")
        raise AssertionError("the service did not stop")

    with running(tmp_path) as (service, client), ThreadPoolExecutor(4) as pool:
        service.wait_for("ready")
        uploads = [pool.submit(upload, client, 10_000 * lane) for lane in range(4)]
        while len(kept) < 20 and not any(lane.done() for lane in uploads):
            client.get("/livez")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=60) == 0
        for lane in uploads:
            lane.result()
    with running(tmp_path) as (service, client):
        service.wait_for("ready")
        assert all(client.get(f"/v1/images/{name}").status_code == 200 for name in kept)
        found = client.get("/v1/search?q=red&limit=1000").json()["results"]
        assert {one["id"] for one in found} >= set(kept)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=60) == 0


def test_a_client_that_never_reads_does_not_keep_the_service_from_ending(gated: tuple[Service, httpx.Client]) -> None:
    service, client = gated
    idle = socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60)
    with idle:
        idle.sendall(b"GET /v1/images HTTP/1.1\r\nHost: localhost\r\n")  # and no more
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=60) == 0
