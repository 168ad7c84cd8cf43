"""A service that is starting says so, one that cannot start says why, and the demo gallery comes once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app import create_app
from app.errors import StorageFull
from app.gallery.gallery import CHUNK, Gallery, Upload
from app.index.exact import Index
from app.index.live import LiveIndex
from app.inference.lane import Row
from app.records.record import Vectors
from app.settings import Settings
from app.startup import Startup
from app.storage.folder import DataFolder
from app.storage.snapshot import Snapshot
from model.errors import ParallaxError
from model.picture import decode
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
                assert answer.json().keys() == {"status", "detail", "model", "images", "index", "demo"}
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


@pytest.mark.parametrize("content", [None, b""], ids=["gone", "empty"])
def test_a_folder_whose_catalog_is_lost_is_not_taken_for_a_new_one(settings: Settings, content: bytes | None) -> None:
    with opened(settings) as client:
        add(client, plain("red"))
    catalog = settings.data / "catalog.sqlite3"
    before = catalog.read_bytes()
    catalog.unlink()
    if content is not None:
        catalog.write_bytes(content)
    with opened(settings) as client:
        assert "catalog.sqlite3 is missing or empty" in client.get("/readyz").json()["detail"]
    catalog.write_bytes(before)
    with opened(settings) as client:
        assert client.get("/v1/search?q=red").json()["results"][0]["score"] == 1.0


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


def test_a_lost_picture_that_is_uploaded_again_is_found_at_once(settings: Settings) -> None:
    with opened(settings) as client:
        add(client, plain("blue"), name="first")
        sha256 = add(client, plain("blue"), name="second")["sha256"]
        (settings.data / "originals" / sha256[:2] / sha256).unlink()
    with opened(settings, ColourEncoder("another")) as client:
        assert client.get("/v1/search?q=blue").json()["results"] == []
        for _ in range(2):
            again = add(client, plain("blue"))
            assert (again["id"], again["duplicate"]) == ("first", True)
            found = client.get("/v1/search?q=blue").json()["results"]
            assert [(result["id"], result["score"]) for result in found] == [("first", 1.0), ("second", 1.0)]
        assert not list((settings.data / "originals" / "staging").iterdir())


def while_starting(settings: Settings, encoder: ColourEncoder, release: threading.Event) -> Iterator[TestClient]:
    """A client of a service that has not finished starting; it goes on when asked for the next one."""
    app = create_app(settings, encoder)
    startup: Startup = app.state.startup
    with TestClient(app, raise_server_exceptions=False) as client:
        try:
            yield client
        finally:
            release.set()
        assert startup.finished.wait(timeout=60)
        yield client


def test_while_the_index_is_made_searches_are_asked_to_wait_and_the_rest_works(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(settings) as client:
        images = [add(client, noise(number), name=f"p{number}") for number in range(5)]
    (settings.data / "index" / "manifest.json").unlink()
    began, release = threading.Event(), threading.Event()
    collect = LiveIndex._collect

    def slow(index: LiveIndex, records: Snapshot, report: Callable[[int, int], None]) -> Index:
        report(3, 5)
        began.set()
        release.wait(timeout=60)
        return collect(index, records, report)

    monkeypatch.setattr(LiveIndex, "_collect", slow)
    clients = while_starting(settings, ColourEncoder(), release)
    client = next(clients)
    assert began.wait(timeout=60)
    for answer in (client.get("/v1/search?q=red"), client.post("/v1/search", files={"file": noise(1)})):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "3 of 5" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"], ready.json()["index"]) == (
        503,
        "starting",
        {"done": 3, "total": 5},
    )
    assert client.get("/v1/images").json()["total"] == 5
    assert client.get("/v1/images/p1/content").content == noise(1)
    assert client.get("/v1/images/p1/thumbnail").status_code == 200
    assert client.delete("/v1/images/p2").status_code == 204
    add(client, noise(9), name="p9")
    client = next(clients)
    for number in (0, 1, 3, 4, 9):
        best, *_ = client.post("/v1/search", files={"file": noise(number)}).json()["results"]
        assert best["id"] == f"p{number}"
    assert {image["id"] for image in client.get("/v1/images").json()["images"]} == {"p0", "p1", "p3", "p4", "p9"}
    assert len(client.post("/v1/search", files={"file": noise(2)}).json()["results"]) == len(images)
    assert next(clients, None) is None


class Mirrored(ColourEncoder):
    """Another model: the same colours mean other vectors. It waits before it encodes its last pictures."""

    def __init__(self) -> None:
        super().__init__("another")
        self.encoded, self.began, self.release = 0, threading.Event(), threading.Event()

    def encode_pixels(self, batch: Sequence[Row]) -> Vectors:
        if self.encoded >= CHUNK:
            self.began.set()
            self.release.wait(timeout=60)
        self.encoded += len(batch)
        return super().encode_pixels(batch)[:, ::-1].copy()


PICTURES = 2 * CHUNK + 6


def cut_short(settings: Settings) -> None:
    """A gallery is filled; then it is opened with another model, and closed before this has encoded every picture."""
    with DataFolder(settings.data) as folder, Gallery(folder, ColourEncoder(), max_pixels=1000) as gallery:
        gallery.add_many(Upload(noise(number), f"p{number}") for number in range(PICTURES))
    other = Mirrored()
    clients = while_starting(settings, other, other.release)
    client = next(clients)
    assert other.began.wait(timeout=60)
    answer = client.get("/v1/search?q=red")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert f"another model than before: {CHUNK} of {PICTURES}" in answer.json()["detail"]
    assert client.get("/v1/images").json()["total"] == PICTURES
    assert client.delete("/v1/images/p0").status_code == 204
    app: FastAPI = client.app  # type: ignore[assignment]
    app.state.startup._stop.set()  # as at the end of the process, but before the model goes on
    clients.close()


def finds(client: TestClient, number: int) -> bool:
    return bool(client.post("/v1/search", files={"file": noise(number)}).json()["results"][0]["id"] == f"p{number}")


def test_a_change_of_the_model_goes_on_where_it_was_cut_short(settings: Settings) -> None:
    cut_short(settings)
    other = Mirrored()
    other.release.set()
    with opened(settings, other) as client:
        assert other.encoded == 6
        assert finds(client, 1)
        assert finds(client, PICTURES - 1)
    with closing(sqlite3.connect(settings.data / "catalog.sqlite3")) as catalog:
        query = "SELECT fingerprint, count(*) FROM vectors JOIN models USING (model) GROUP BY fingerprint"
        assert catalog.execute(query).fetchall() == [("another", PICTURES - 1)], "the old ones went"


def test_a_change_of_the_model_that_was_cut_short_can_be_taken_back_at_no_cost(settings: Settings) -> None:
    cut_short(settings)
    first = CountingEncoder()
    with opened(settings, first) as client:
        assert first.encoded == 0
        assert finds(client, 1)
        assert finds(client, PICTURES - 1)


class CountingEncoder(ColourEncoder):
    encoded = 0

    def encode_pixels(self, batch: Sequence[Row]) -> Vectors:
        self.encoded += len(batch)
        return super().encode_pixels(batch)


def test_pictures_that_another_model_fails_on_do_not_keep_the_service_from_starting(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(ColourEncoder):
        def encode_pixels(self, batch: Sequence[Row]) -> Vectors:
            vectors = super().encode_pixels(batch)
            vectors[[int(row.sum()) == marked for row in batch]] = np.nan
            return vectors

    with opened(settings) as client:
        for number in range(3):
            add(client, noise(number), name=f"p{number}")
    marked = int(ColourEncoder().preprocess(decode(noise(1)).image).sum())
    with opened(settings, Fails("another")) as client:
        assert client.get("/readyz").status_code == 200
        found = client.post("/v1/search", files={"file": noise(0)}).json()["results"]
        assert {result["id"] for result in found} == {"p0", "p2"}
    assert "the picture p1 cannot be searched for" in caplog.text


def test_a_demo_gallery_that_does_not_fit_on_the_disk_is_left_out(
    settings: Settings, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageFull("The disk is full.")

    monkeypatch.setattr("app.startup.add_demo_gallery", full)
    with opened(settings.model_copy(update={"demo": True})) as client:
        assert client.get("/readyz").status_code == 200


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
