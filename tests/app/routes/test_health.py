"""Who watches over the service is told the truth at once, also when everything else is taken."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from tests.app.dummy import ColourEncoder
from tests.app.pictures import plain
from tests.app.running import add, opened


def test_a_ready_service_says_what_it_has(client: TestClient) -> None:
    add(client, plain("red"))
    for url in ("/readyz", "/healthz"):
        answer = client.get(url)
        assert (answer.status_code, answer.json()["status"], answer.json()["images"]) == (200, "ready", 1)
        assert answer.headers["cache-control"] == "no-store"


def test_a_service_whose_catalog_cannot_be_read_is_not_ready(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error at /a/secret/path")

    monkeypatch.setattr("app.gallery.gallery.Gallery.__len__", fail)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")
    assert "secret" not in answer.text
    assert "disk I/O error" in caplog.text
    assert client.get("/livez").status_code == 200
    monkeypatch.undo()
    assert client.get("/readyz").status_code == 200


def test_a_service_whose_model_is_stuck_is_not_ready(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(ColourEncoder):
        entered, released = threading.Event(), threading.Event()

        def encode_texts(self, texts: Any) -> Any:
            self.entered.set()
            self.released.wait(timeout=60)
            return super().encode_texts(texts)

    monkeypatch.setattr("app.routes.health.LONGEST_BATCH_SECONDS", 0)
    with opened(settings, Stuck()) as client, ThreadPoolExecutor(1) as pool:
        assert client.get("/readyz").status_code == 200
        search = pool.submit(client.get, "/v1/search?q=red")
        assert Stuck.entered.wait(timeout=60)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "failed")
        assert "model" in answer.json()["detail"]
        Stuck.released.set()
        assert search.result().status_code == 200
        assert client.get("/readyz").status_code == 200


def test_health_is_answered_while_every_other_thread_is_taken(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, entered = threading.Event(), threading.Semaphore(0)

    def wait(*_: object) -> None:
        entered.release()
        released.wait(timeout=60)

    monkeypatch.setattr("app.gallery.gallery.Gallery.get", wait)
    with ThreadPoolExecutor(60) as pool:
        try:
            for _ in range(60):
                pool.submit(client.get, "/v1/images/red")
            for _ in range(40):  # as many threads as there are for routes
                assert entered.acquire(timeout=60)
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").status_code == 200
        finally:
            released.set()
