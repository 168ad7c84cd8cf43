"""What the service has confirmed stays, whatever happens to its process."""

from __future__ import annotations

import http.client
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from model.shards import Sample, ShardWriter
from tests.app.pictures import noise, plain
from tests.app.process import ROOT, running


def everything(client: httpx.Client) -> dict[str, str]:
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


def write_until_killed(
    client: httpx.Client, seed: int, confirmed: dict[str, int | None], progress: threading.Semaphore
) -> None:
    """Add and delete pictures one after another; note what was confirmed: id → seed of its picture, None if deleted."""
    chance = random.Random(seed)
    mine: list[str] = []
    for number in range(10_000):
        try:
            if mine and chance.random() < 0.25:
                image_id = mine.pop(chance.randrange(len(mine)))
                confirmed.pop(image_id)  # until the answer is there, both outcomes are right
                if client.delete(f"/v1/images/{image_id}").status_code == 204:
                    confirmed[image_id] = None
            else:
                picture = seed * 10_000 + number
                answer = client.post("/v1/images", files={"file": noise(picture)})
                assert answer.status_code == 201
                (image,) = answer.json()["images"]
                confirmed[image["id"]] = picture
                mine.append(image["id"])
            progress.release()
        except httpx.TransportError:
            return


def test_confirmed_writes_survive_kill_9(tmp_path: Path) -> None:
    confirmed: dict[str, int | None] = {}
    for life in range(3):
        with running(tmp_path) as (service, client), ThreadPoolExecutor(4) as writers:
            service.wait_for("ready")
            found = everything(client)
            for image_id, picture in confirmed.items():
                assert (image_id in found) == (picture is not None)
                if picture is not None:
                    assert client.get(f"/v1/images/{image_id}/content").content == noise(picture)
                    nearest = client.post("/v1/search", files={"file": noise(picture)}, data={"limit": 1}).json()
                    assert nearest["results"][0]["id"] == image_id
            assert len(set(found.values())) == len(found)  # nothing twice
            progress = threading.Semaphore(0)
            writing = [writers.submit(write_until_killed, client, 4 * life + n, confirmed, progress) for n in range(4)]
            for _ in range(random.Random(life).randrange(30, 90)):
                assert progress.acquire(timeout=60)
            service.process.send_signal(signal.SIGKILL)
            for writer in writing:
                writer.result()
    assert len(confirmed) > 60


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
    check = "print(*{'torch', 'onnxruntime'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code + check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
