"""What the service has confirmed stays, whatever happens to its process."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from app.gallery.demo import add_demo_gallery
from model.shards import Sample, ShardWriter
from tests.app.pictures import noise, plain
from tests.app.process import ROOT, running
from tests.app.running import add


def everything(client: httpx.Client | TestClient) -> dict[str, str]:
    """Every picture of the gallery: id → SHA-256."""
    images: list[dict[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/images", params={"limit": 1000, **cursor}).json()
        images += page["images"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(images) == page["total"] == len({image["id"] for image in images})
    return {image["id"]: image["sha256"] for image in images}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_demo_gallery_cut_short_is_completed_at_the_next_start(tmp_path: Path, end: signal.Signals) -> None:
    shard, data = tmp_path / "demo.tar", tmp_path / "data"
    with ShardWriter(shard) as writer:
        for number in range(600):
            writer.write(Sample(f"{number:05d}", noise(number), "png"))
    with running(data, shard) as (service, client):
        while not 0 < client.get("/readyz").json()["demo"]["done"] < 600:
            pass
        service.process.send_signal(end)
        assert service.process.wait(timeout=60) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
    with running(data, shard) as (service, client):
        service.wait_for("ready: 600 pictures")
        assert everything(client).keys() == {f"demo-{number:05d}" for number in range(600)}


def test_a_demo_picture_that_somebody_adds_meanwhile_stops_nothing(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ShardWriter(tmp_path / "demo.tar") as writer:
        for number in range(3):
            writer.write(Sample(f"{number:05d}", noise(number), "png"))
    gallery = client.app.state.startup.gallery  # type: ignore[attr-defined]
    add(client, noise(100), name="demo-00001")
    monkeypatch.setattr(gallery, "has", lambda _: False)  # as it was a moment before
    add_demo_gallery(gallery, tmp_path / "demo.tar", lambda *_: None, threading.Event())
    assert everything(client).keys() == {f"demo-{number:05d}" for number in range(3)}
    assert gallery.note("demo gallery demo.tar") == "3"


def test_sigterm_finishes_an_accepted_upload_and_exits_0(tmp_path: Path) -> None:
    with running(tmp_path) as (service, client):
        service.wait_for("ready")
        client.get("/livez")
        body = httpx.Request("POST", client.base_url, files={"file": plain("red")})
        content = body.read()
        upload = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=60)
        upload.putrequest("POST", "/v1/images")
        for name in ("Content-Type", "Content-Length"):
            upload.putheader(name, body.headers[name])
        upload.endheaders(content[:50])
        client.get("/livez")  # by now the first half has been read
        client.close()
        service.process.send_signal(signal.SIGTERM)
        refused = False
        while not refused:
            try:
                httpx.get(f"{client.base_url}/livez", trust_env=False)
            except httpx.TransportError:
                refused = True
        upload.send(content[50:])
        assert upload.getresponse().status == 201
        upload.close()
        assert service.process.wait(timeout=60) == 0
    with running(tmp_path) as (service, client):
        service.wait_for("ready")
        assert len(everything(client)) == 1


def test_a_second_process_is_kept_out_of_the_data_folder(tmp_path: Path) -> None:
    with running(tmp_path) as (service, _):
        service.wait_for("ready")
        command = [sys.executable, "-m", "tests.app.dummy_service", tmp_path]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"The data folder {tmp_path} is in use by another Parallax process." in second.stderr
        assert "Traceback" not in second.stderr


def test_the_service_is_made_without_bringing_in_a_model_runtime() -> None:
    code = "import sys; from app import create_app; from app.settings import Settings; create_app(Settings());"
    check = "print(*{'torch', 'openvino'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code + check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
