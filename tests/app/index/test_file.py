"""The index on disk is used if it fits in every respect, and put aside if not; the answers are right in both cases."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import IndexUnfit
from app.gallery.store import Store
from app.index.file import IndexFile, Stamp
from app.settings import Settings
from app.storage.folder import DataFolder
from app.storage.snapshot import Snapshot
from tests.app.pictures import noise
from tests.app.running import add as upload
from tests.app.running import opened
from tests.app.storing import DIM, MODEL, Gallery, Write, add, assert_sound, contents, findings, opened_store, sha256

PICTURES = 20
HELD: Gallery = {f"p{number}": (number, {"number": number}) for number in range(PICTURES)}


def filled(path: Path, model: str = MODEL) -> Path:
    """A data folder that was closed in good order."""
    with opened_store(path, model) as store:
        for number in range(PICTURES):
            Write("add", f"p{number}", number).to(store)
    assert (path / "index" / "manifest.json").is_file()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "data")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("template") / "data")


def test_an_index_that_fits_saves_the_reading_of_the_catalog_s_vectors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Snapshot, "vectors", None)
    with opened_store(folder) as store:
        assert contents(store) == HELD
    assert (folder / "index" / "manifest.json").is_file()


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << place % 8
    path.write_bytes(data)


def stale(folder: Path) -> None:
    """The index of an earlier day is put back."""
    before = folder / "before"
    shutil.copytree(folder / "index", before)
    with opened_store(folder) as store:
        store.delete("p3")
        Write("add", "p3", 3).to(store)
    shutil.rmtree(folder / "index")
    before.rename(folder / "index")


def foreign(folder: Path) -> None:
    """The index of another gallery, of the same size, is put in."""
    other = filled(folder / "other")
    shutil.rmtree(folder / "index")
    (other / "index").rename(folder / "index")


def restored(folder: Path) -> None:
    """The catalog of an earlier day is put back, and as much is changed again as had been since."""
    catalog = folder / "catalog.sqlite3"
    before = catalog.read_bytes()
    with opened_store(folder) as store:
        store.delete("p3")
        add(store, 50, "p3")
    index = folder / "kept"
    shutil.copytree(folder / "index", index)
    catalog.write_bytes(before)
    with opened_store(folder) as store:
        store.delete("p3")
        Write("add", "p3", 3).to(store)
    shutil.rmtree(folder / "index")
    index.rename(folder / "index")
    (folder / "originals" / sha256(50)[:2] / sha256(50)).unlink()


def edited_by_hand(folder: Path) -> None:
    """Somebody has changed the catalog with another program; what they did is of no matter here."""
    with closing(sqlite3.connect(folder / "catalog.sqlite3")) as catalog, catalog:
        catalog.execute("UPDATE images SET metadata = metadata WHERE id = 'p3'")


def manifest(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "index" / "manifest.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


DAMAGES: dict[str, Callable[[Path], object]] = {
    "vectors are gone": lambda folder: (folder / "index" / "vectors").unlink(),
    "vectors are empty": lambda folder: (folder / "index" / "vectors").write_bytes(b""),
    "vectors are longer": lambda folder: (folder / "index" / "vectors").write_bytes(
        bytes((8 + 4 * DIM) * (PICTURES + 1))
    ),
    "vectors are a folder": lambda folder: (
        (folder / "index" / "vectors").unlink(),
        (folder / "index" / "vectors").mkdir(),
    ),
    "manifest is empty": lambda folder: (folder / "index" / "manifest.json").write_bytes(b""),
    "manifest is a list": lambda folder: (folder / "index" / "manifest.json").write_text("[]"),
    "manifest is no text": lambda folder: (folder / "index" / "manifest.json").write_bytes(b"\xff\xfe\x00"),
    "manifest is deep": lambda folder: (folder / "index" / "manifest.json").write_text("[" * 100_000),
    "manifest counts too many": manifest(lambda content: content.update(count=10**15)),
    "manifest counts none": manifest(lambda content: content.update(count=0)),
    "manifest counts less than none": manifest(lambda content: content.update(count=-1)),
    "format of the future": manifest(lambda content: content.update(format=2)),
    "unknown member": manifest(lambda content: content.update(more=1)),
    "another model": manifest(lambda content: content["stamp"].update(model="other")),  # type: ignore[index]
    "another size": manifest(lambda content: content["stamp"].update(dim=DIM * 2)),  # type: ignore[index]
    "index is a file": lambda folder: (shutil.rmtree(folder / "index"), (folder / "index").write_bytes(b"FAISS")),
    "stale": stale,
    "foreign": foreign,
    "catalog restored": restored,
    "catalog edited": edited_by_hand,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_an_index_that_does_not_fit_is_put_aside_and_every_answer_is_right(
    folder: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder)
    (fault,) = findings(folder).faults
    assert fault.at == "index"
    caplog.clear()
    with opened_store(folder) as store:
        assert contents(store) == HELD
        assert "put aside" in caplog.text
    assert (folder / "index.quarantined").exists()
    assert_sound(folder)
    caplog.clear()
    with opened_store(folder) as store:
        assert contents(store) == HELD
        assert caplog.text == ""


@pytest.mark.parametrize("gone", ["index", "index/manifest.json"])
def test_an_index_that_is_gone_is_made_anew(folder: Path, gone: str) -> None:
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert_sound(folder)
    with opened_store(folder) as store:
        assert contents(store) == HELD
    assert (folder / "index" / "manifest.json").is_file()
    assert not (folder / "index.quarantined").exists()


@pytest.mark.parametrize("name", ["vectors", "manifest.json"])
@pytest.mark.parametrize("share", range(0, 100, 5))
def test_an_index_cut_off_anywhere_is_put_aside(folder: Path, name: str, share: int) -> None:
    path = folder / "index" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size * share // 100])
    with opened_store(folder) as store:
        assert contents(store) == HELD
    assert_sound(folder)


@given(share=st.floats(0, 1, exclude_max=True), name=st.sampled_from(["vectors", "manifest.json"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_with_any_bit_flipped_is_never_searched(
    template: Path, tmp_path: Path, share: float, name: str
) -> None:
    folder = tmp_path / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    path = folder / "index" / name
    flip(path, int(share * path.stat().st_size))
    with opened_store(folder) as store:
        assert contents(store) == HELD


def test_an_index_of_another_model_is_never_searched(folder: Path) -> None:
    """Here the other model has not encoded anything, so there is nothing to find."""
    with opened_store(folder, "an0ther") as store:
        assert len(store.index) == 0
    assert (folder / "index.quarantined").exists()
    with opened_store(folder) as store:
        assert contents(store) == HELD


def test_the_index_on_disk_goes_before_the_first_write_so_a_crash_leaves_none_that_is_out_of_date(folder: Path) -> None:
    with opened_store(folder) as store:
        assert (folder / "index" / "manifest.json").exists()
        store.set_note("a fact", "about the folder")
        assert (folder / "index" / "manifest.json").exists()
        store.delete("p3")
        assert list((folder / "index").iterdir()) == []
    assert (folder / "index" / "manifest.json").exists()


def test_an_index_that_a_writer_removes_while_it_is_read_is_not_put_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A large one takes seconds to read, and uploads are taken meanwhile."""
    load = IndexFile.load

    def load_late(file: IndexFile, *stamp: Stamp) -> object:
        store.delete("p3")
        write = (file.folder / "manifest.json").write_bytes
        write(manifest)  # which was read before; what it speaks of is gone
        return load(file, *stamp)

    manifest = (folder / "index" / "manifest.json").read_bytes()
    monkeypatch.setattr(IndexFile, "load", load_late)
    monkeypatch.setattr("app.index.file._compare", lambda *_: None)
    with DataFolder(folder) as data:
        store = Store(data, dim=DIM, fingerprint=MODEL)
        store.index.open(lambda *_: None)
        assert contents(store) == {name: held for name, held in HELD.items() if name != "p3"}
        store.close()
    assert not (folder / "index.quarantined").exists()
    assert "put aside" not in caplog.text


def test_only_the_last_index_that_did_not_fit_is_kept(folder: Path) -> None:
    for number in range(3):
        (folder / "index" / "vectors").write_bytes(b"%d" % number)
        with opened_store(folder):
            pass
        assert (folder / "index.quarantined" / "vectors").read_bytes() == b"%d" % number


def test_an_index_that_cannot_be_put_aside_is_not_searched_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    flip(folder / "index" / "vectors", 100)
    monkeypatch.setattr("pathlib.Path.rename", refuse)
    with opened_store(folder) as store:
        assert contents(store) == HELD


def test_loading_without_a_stamp_checks_everything_but_the_stamp(folder: Path) -> None:
    loaded = IndexFile(folder / "index").load()
    assert loaded is not None
    assert len(loaded[1]) == loaded[0].count == PICTURES
    flip(folder / "index" / "vectors", 7)
    with pytest.raises(IndexUnfit, match="damaged"):
        IndexFile(folder / "index").load()


def test_a_service_with_a_damaged_index_answers_as_before(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def answers() -> list[object]:
        searches = [client.post("/v1/search", files={"file": noise(number)}).json()["results"] for number in range(3)]
        return [*searches, client.get("/readyz").status_code]

    with opened(settings) as client:
        for number in range(10):
            upload(client, noise(number), name=f"p{number}")
        before = answers()
    flip(settings.data / "index" / "vectors", 1000)
    with opened(settings) as client:
        assert answers() == before
    assert "put aside and made anew from the catalog: its vectors are damaged" in caplog.text
