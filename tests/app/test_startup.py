"""A service that is starting says so, one that cannot start says why, and the demo gallery comes once."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import create_app
from app.folder import DataFolder
from app.settings import Settings
from app.startup import Startup
from model.errors import ParallaxError
from model.shards import Sample, ShardWriter
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise, plain
from tests.app.running import add, opened


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo gallery of 150 pictures; two of them are the same."""
    path = tmp_path / "demo.tar"
    with ShardWriter(path) as writer:
        for number in range(150):
            facts = {
                "label": f"picture {number}",
                "tags": ["a", "b"],
                "group": "g",
                "source": "s",
                "license": "CC BY 4.0",
            }
            picture = noise(min(number, 148))
            key = f"{number:05d}"
            writer.write(
                Sample(key, picture, "png", f"picture {number}", {"key": key, "caption": "c", "metadata": facts})
            )
    monkeypatch.setattr("app.startup.SHARD", path)
    return path


@pytest.fixture
def demo(settings: Settings, shard: Path) -> Settings:
    return settings.model_copy(update={"demo": True})


def test_while_the_model_loads_the_service_lives_and_asks_for_patience(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = threading.Event()

    def load(_: Settings) -> ColourEncoder:
        loaded.wait(timeout=60)
        return ColourEncoder()

    monkeypatch.setattr("app.startup.load_encoder", load)
    app = create_app(settings)
    with TestClient(app) as client:
        try:
            assert client.get("/livez").json() == {"status": "alive"}
            for url in ("/readyz", "/healthz"):
                answer = client.get(url)
                assert (answer.status_code, answer.json()["status"]) == (503, "starting")
                assert answer.json().keys() == {"status", "detail", "model", "images", "demo"}
            for answer in (client.get("/v1/search?q=red"), client.post("/v1/images", files={"file": plain("red")})):
                assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
                assert int(answer.headers["retry-after"]) > 0
            assert client.get("/").status_code == 200
        finally:
            loaded.set()
        startup: Startup = app.state.startup
        assert startup.finished.wait(timeout=60)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["model"]) == (200, "ready", "colours")
        assert client.get("/v1/search?q=red").status_code == 200


@pytest.mark.parametrize("error", [ParallaxError("The folder holds no model."), RuntimeError("out of luck")])
def test_a_service_that_cannot_start_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load(_: Settings) -> ColourEncoder:
        raise error

    monkeypatch.setattr("app.startup.load_encoder", load)
    app = create_app(settings)
    failed = threading.Event()
    app.state.startup.on_failure = failed.set
    with TestClient(app) as client:
        assert failed.wait(timeout=60)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "failed")
        assert str(error) in answer.json()["detail"]
        assert str(error) in client.get("/v1/search?q=red").json()["detail"]
    with DataFolder(settings.data):  # it has let go of the folder
        pass


def test_a_data_folder_has_one_owner(settings: Settings) -> None:
    with opened(settings) as first, opened(settings) as second:
        assert first.get("/readyz").status_code == 200
        assert "in use by another" in second.get("/readyz").json()["detail"]
        add(first, plain("red"))
    with opened(settings) as third:
        assert third.get("/readyz").json()["images"] == 1


def test_a_data_folder_of_a_newer_version_is_left_alone(settings: Settings) -> None:
    with opened(settings) as client:
        add(client, plain("red"))
    catalog = sqlite3.connect(settings.data / "catalog.sqlite3")
    catalog.execute("PRAGMA user_version = 99")
    catalog.close()
    with opened(settings) as client:
        assert "version 99" in client.get("/readyz").json()["detail"]


def test_a_file_that_is_no_catalog_is_left_alone(settings: Settings) -> None:
    settings.data.mkdir()
    (settings.data / "catalog.sqlite3").write_bytes(b"not a database" * 100)
    with opened(settings) as client:
        assert "catalog" in client.get("/readyz").json()["detail"]
    assert (settings.data / "catalog.sqlite3").read_bytes() == b"not a database" * 100


def test_a_restart_keeps_everything(settings: Settings) -> None:
    with opened(settings) as client:
        image = add(client, plain("red"), metadata={"place": "Oslo"})
        before = client.get("/v1/search?q=red").json()["results"]
    with opened(settings) as client:
        assert client.get("/v1/search?q=red").json()["results"] == before
        assert client.get(f"/v1/images/{image['id']}/content").content == plain("red")


def test_vectors_of_another_model_are_made_anew_and_never_searched(settings: Settings) -> None:
    class Mirrored(ColourEncoder):
        """Another model: the same colours mean other vectors."""

        def encode_pixels(self, batch):  # type: ignore[no-untyped-def]
            return super().encode_pixels(batch)[:, ::-1].copy()

    with opened(settings) as client:
        images = {colour: add(client, plain(colour)) for colour in ("red", "green", "blue")}
        (settings.data / "originals" / images["blue"]["sha256"][:2] / images["blue"]["sha256"]).unlink()
    with opened(settings, Mirrored("another")) as client:
        assert client.get("/readyz").json()["images"] == 3
        for colour in ("red", "green"):
            best, *_ = client.get("/v1/search", params={"q": colour}).json()["results"]
            assert (best["id"], best["score"]) == (images[colour]["id"], 1.0)
        found = [result["id"] for result in client.get("/v1/search?q=red").json()["results"]]
        assert images["blue"]["id"] not in found  # lost, and said so in the log
    with opened(settings) as client:
        assert client.get("/v1/search?q=red").json()["results"][0]["score"] == 1.0


def test_the_demo_gallery_is_added_with_its_words(demo: Settings) -> None:
    with opened(demo) as client:
        ready = client.get("/readyz").json()
        assert (ready["images"], ready["demo"]) == (150, {"done": 150, "total": 150})
        best, *_ = client.post("/v1/search", files={"file": noise(7)}).json()["results"]
        assert (best["id"], best["metadata"]["label"]) == ("demo-00007", "picture 7")
        assert best["metadata"].keys() == {"label", "tags", "group", "source", "license"}


def test_demo_pictures_that_were_deleted_stay_away(demo: Settings) -> None:
    with opened(demo) as client:
        client.delete("/v1/images/demo-00007")
    with opened(demo) as client:
        ready = client.get("/readyz").json()
        assert (ready["images"], ready["demo"]) == (149, {"done": 150, "total": 150})


def test_no_demo_means_none(demo: Settings) -> None:
    with opened(demo.model_copy(update={"demo": False})) as client:
        assert client.get("/readyz").json()["images"] == 0
    with opened(demo) as client:  # but there may be one later
        assert client.get("/readyz").json()["images"] == 150


def test_a_demo_gallery_that_cannot_be_read_does_not_keep_the_service_from_starting(
    demo: Settings, shard: Path
) -> None:
    shard.write_bytes(b"no shard" * 1000)
    with opened(demo) as client:
        assert client.get("/readyz").status_code == 200
        assert add(client, plain("red"))


def test_a_bad_demo_picture_is_left_out(demo: Settings, shard: Path) -> None:
    with ShardWriter(shard) as writer:
        writer.write(Sample("0", b"no picture", "png"))
        writer.write(Sample("1", plain("red"), "png"))
    with opened(demo) as client:
        assert client.get("/readyz").json()["images"] == 1
