"""`verify` finds whatever is wrong with a data folder and says what; `reindex` repairs what can be repaired."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.__main__ import main
from app.gallery.gallery import Gallery, Upload
from app.gallery.verify import Findings
from app.index.file import IndexFile, Stamp
from app.storage.folder import DataFolder
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise
from tests.app.storing import add, content, findings, opened_store, sha256, silent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures p0 to p9; p9 is a second record of the file of p0."""
    path = tmp_path / "data"
    with opened_store(path) as store:
        for number in range(9):
            add(store, number, f"p{number}", {"number": number})
        add(store, 0, "p9")
    return path


def original(folder: Path, number: int) -> Path:
    return folder / "originals" / sha256(number)[:2] / sha256(number)


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "catalog.sqlite3")) as catalog, catalog:
        catalog.execute(statement)
    (folder / "index" / "manifest.json").unlink()  # what becomes of it is another matter


def images(assignment: str, name: str = "p3") -> Callable[[Path], None]:
    return lambda folder: change(folder, f"UPDATE images SET {assignment} WHERE id = '{name}'")


def vectors(assignment: str) -> Callable[[Path], None]:
    of_p3 = "WHERE key = (SELECT key FROM images WHERE id = 'p3')"
    return lambda folder: change(folder, f"UPDATE vectors SET {assignment} {of_p3}")


def blob(*values: float) -> str:
    return f"vector = x'{np.array(values, '<f4').tobytes().hex()}'"


def foreign_index(folder: Path) -> None:
    """It says that it is of this state of the catalog, and its checksum is right; but its vectors are not these."""
    file = IndexFile(folder / "index")
    loaded = file.load()
    assert loaded is not None
    manifest, index = loaded
    keys, vectors = next(index.batches(100))
    wrong = index.changed(keys.tolist(), keys.tolist(), np.roll(vectors, 1, axis=0))
    file.publish(file.write(wrong, Stamp.model_validate(manifest.stamp)))


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an original is missing": (lambda folder: original(folder, 3).unlink(), "picture 'p3'", "missing"),
    "an original is damaged": (lambda folder: original(folder, 3).write_bytes(b"x"), "picture 'p3'", "damaged"),
    "an original is another": (lambda folder: original(folder, 3).write_bytes(content(4)), "picture 'p3'", "damaged"),
    "an original is a folder": (
        lambda folder: (original(folder, 3).unlink(), original(folder, 3).mkdir()),
        "picture 'p3'",
        "cannot be read",
    ),
    "an original is nobody's": (
        lambda folder: original(folder, 3).with_name("a" * 64).write_bytes(b"x"),
        "a" * 64,
        "No picture needs",
    ),
    "a size is wrong": (images("bytes = 7"), "picture 'p3'", "bytes"),
    "sizes of one file differ": (images("bytes = 7", "p9"), "picture 'p0'", "bytes"),
    "metadata are broken": (images("metadata = '{'"), "catalog", "'p3'"),
    "metadata are a list": (images("metadata = '[]'"), "catalog", "'p3'"),
    "a vector is missing": (
        lambda folder: change(folder, "DELETE FROM vectors WHERE key = 4"),
        "picture 'p3'",
        "no vector",
    ),
    "a vector is too short": (vectors(blob(1)), "picture 'p3'", "damaged"),
    "a vector holds no number": (vectors(blob(1, 0, 0, 0, 0, 0, 0, np.nan)), "picture 'p3'", "damaged"),
    "a vector is not of unit length": (vectors(blob(3, 0, 0, 0, 0, 0, 0, 0)), "picture 'p3'", "damaged"),
    "a vector is of no picture": (vectors("key = 99"), "catalog", "vectors"),
    "the index is damaged": (lambda folder: (folder / "index" / "vectors").write_bytes(b"x"), "index", "bytes"),
    "the index holds other vectors": (foreign_index, "index", "other vectors"),
}


@pytest.mark.parametrize(("damage", "at", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_whatever_is_wrong_is_found_and_named(
    folder: Path, damage: Callable[[Path], object], at: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(folder)
    assert main(["verify", "--data", str(folder)]) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert at in first
    assert fault in first
    assert last.endswith(("fault", "faults"))
    assert main(["verify", "--data", str(folder), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["sound"]
    assert at in answer["faults"][0]["at"]
    assert fault in answer["faults"][0]["fault"]


def test_a_page_of_the_catalog_that_is_overwritten_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = folder / "catalog.sqlite3"
    whole = catalog.read_bytes()
    for page in range(1, len(whole) // 4096):
        catalog.write_bytes(whole[: page * 4096] + b"\x5a" * 4096 + whole[(page + 1) * 4096 :])
        assert main(["verify", "--data", str(folder)]) == 1, page
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert said.out + said.err


def test_a_sound_folder_is_found_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["verify", "--data", str(folder)]) == 0
    assert capsys.readouterr().out == "10 pictures, 9 originals, 10 vectors: all agree\n"
    assert main(["verify", "--data", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "sound": True,
        "pictures": 10,
        "originals": 9,
        "vectors": 10,
        "faults": [],
        "notes": [],
    }
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_that_a_service_has_open_or_that_is_none_is_not_judged(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with DataFolder(folder):
        for command in ("verify", "reindex"):
            assert main([command, "--data", str(folder)]) == 1
            assert "in use by another" in capsys.readouterr().err
    for name in ("empty", "missing"):
        if name == "empty":
            (tmp_path / name).mkdir()
        for command in ("verify", "reindex"):
            assert main([command, "--data", str(tmp_path / name)]) == 1
            said = capsys.readouterr()
            assert said.out == ""
            assert str(tmp_path / name) in said.err
    assert not list((tmp_path / "empty").iterdir())
    assert not (tmp_path / "missing").exists()
    (folder / "catalog.sqlite3").write_bytes(b"no catalog" * 1000)
    assert main(["verify", "--data", str(folder)]) == 1
    assert "catalog" in capsys.readouterr().err


def test_a_folder_between_two_models_is_sound_and_says_so(folder: Path) -> None:
    with opened_store(folder, "an0ther") as store:
        records = store.without_vector(0, 4)
        store.set_vectors(records, np.eye(8, dtype=np.float32)[:4])
    found: Findings = findings(folder)
    assert found.faults == []
    assert found.vectors == 14
    assert any("an0ther has not encoded 6 of 10 pictures" in note for note in found.notes)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of six real pictures; `reindex` finds the small encoder."""
    path = tmp_path / "shown"
    with DataFolder(path) as folder, Gallery(folder, ColourEncoder(), max_pixels=10_000) as gallery:
        gallery.add_many(Upload(noise(number), f"p{number}") for number in range(6))
    monkeypatch.setattr("app.commands.reindex.load_encoder", lambda _: ColourEncoder())
    return path


def test_reindex_repairs_vectors_and_index(shown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(shown / "catalog.sqlite3")) as catalog, catalog:
        catalog.execute("UPDATE vectors SET vector = x'00' WHERE key = 1")
        catalog.execute("UPDATE vectors SET vector = zeroblob(256) WHERE key = 2")
        catalog.execute("DELETE FROM vectors WHERE key = 3")
    (shown / "index").mkdir(exist_ok=True)
    (shown / "index" / "manifest.json").write_text("{}")
    assert main(["verify", "--data", str(shown)]) == 1
    assert main(["reindex", "--data", str(shown)]) == 0
    assert "6 of 6 pictures can be searched" in capsys.readouterr().out
    assert main(["verify", "--data", str(shown), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [], "the index is on disk, and nothing was put aside"
    with DataFolder(shown) as folder, Gallery(folder, ColourEncoder(), max_pixels=10_000) as gallery:
        gallery.open_index(silent, threading.Event())
        assert gallery.indexed == 6


def test_reindex_says_what_it_cannot_repair(shown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(shown / "catalog.sqlite3")) as catalog, catalog:
        (sha,) = catalog.execute("SELECT sha256 FROM images WHERE key = 3").fetchone()
        catalog.execute("DELETE FROM vectors WHERE key = 3")
    (shown / "originals" / sha[:2] / sha).unlink()
    assert main(["reindex", "--data", str(shown), "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"pictures": 6, "indexed": 5}
    assert "verify" in said.err
