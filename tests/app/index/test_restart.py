"""Lists are there again at the next start, and what does not fit is made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.index import exact, upkeep
from app.index.file import IndexFile, Manifest
from app.storage.snapshot import Snapshot
from tests.app.index.growing import COUNT, SMALL, assert_right, fill, lists_of, small_is_large
from tests.app.storing import DIM, assert_sound, findings, nearest, opened_store, vector

pytestmark = pytest.mark.usefixtures(small_is_large.__name__)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "EXACT_UP_TO", SMALL)
        patch.setattr("app.index.recall._WORTH", 1e9)
        with opened_store(path) as store:
            fill(store, 1, COUNT)
            assert lists_of(store) is not None
            for number in range(1, 40):
                store.delete(f"s{number}")
            fill(store, 1000, 20)
    assert (path / "index" / "lists").is_file()
    return path


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "data"))


def test_lists_are_there_at_the_next_start_and_are_not_learned_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "trained", None)
    monkeypatch.setattr(Snapshot, "vectors", None)
    for number in range(3):
        with opened_store(folder) as store:
            lists = lists_of(store)
            assert lists is not None
            assert lists.recall >= 0.98
            assert_right(store)
            fill(store, 5000 + number, 1)
            store.delete(f"s{60 + number}")
            assert_right(store)
    monkeypatch.undo()
    assert_sound(folder)


def test_of_an_index_that_is_only_measured_again_the_vectors_are_not_written_again(folder: Path) -> None:
    vectors = folder / "index" / "vectors"
    before = vectors.stat()
    for asked in (16, 64):
        with opened_store(folder) as store:
            for number in range(asked):
                nearest(store, vector(5000 + number), 1)
            again = lists_of(store)
            assert again is not None
            assert again.measured_with == asked
        assert (vectors.stat().st_ino, vectors.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert_sound(folder)
        with opened_store(folder) as store:
            loaded = lists_of(store)
            assert loaded is not None
            assert loaded.measured_with == asked
            assert_right(store)


def test_a_save_that_fails_leaves_the_index_that_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, opened_store(folder) as store:
        patch.setattr("app.index.file.packed", full)
        for number in range(16):
            nearest(store, vector(5000 + number), 1)
        assert lists_of(store) is not None
        store.index.save()
        assert "so the next start takes the older one: [Errno 28]" in caplog.text
    assert {path.name for path in (folder / "index").iterdir()} == {"vectors", "lists", "manifest.json"}
    monkeypatch.setattr(Snapshot, "vectors", None)
    monkeypatch.setattr(upkeep, "trained", None)
    with opened_store(folder) as store:
        assert lists_of(store) is not None
        assert_right(store)


@pytest.mark.parametrize("forgets", [False, True])
def test_what_is_measured_or_forgotten_while_the_index_is_saved_is_not_taken_for_saved(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, forgets: bool
) -> None:
    write = IndexFile.write

    def slowly(*arguments: object) -> Manifest:
        manifest = write(*arguments)  # type: ignore[arg-type]
        for number in range(64):
            nearest(store, vector(5000 + number), 1)
        lists_of(store)
        if forgets:
            store.index.forget_file()
        return manifest

    with opened_store(folder) as store:
        for number in range(16):
            nearest(store, vector(5000 + number), 1)
        lists_of(store)
        with monkeypatch.context() as patch:
            patch.setattr(IndexFile, "write", slowly)
            store.index.save()
    with opened_store(folder) as store:
        loaded = lists_of(store)
        assert loaded is not None
        assert loaded.measured_with == 64
        assert_right(store)
    assert "put aside" not in caplog.text
    assert_sound(folder)


def flipped(folder: Path) -> None:
    path = folder / "index" / "lists"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "lists are gone": lambda folder: (folder / "index" / "lists").unlink(),
    "lists are empty": lambda folder: (folder / "index" / "lists").write_bytes(b""),
    "lists are a folder": lambda folder: ((folder / "index" / "lists").unlink(), (folder / "index" / "lists").mkdir()),
    "a bit is another": flipped,
    "vectors are cut off": lambda folder: (folder / "index" / "vectors").write_bytes(
        (folder / "index" / "vectors").read_bytes()[: -4 * DIM]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_lists_that_do_not_fit_are_put_aside_and_learned_anew(
    folder: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder)
    (fault,) = findings(folder).faults
    assert fault.at == "index"
    with opened_store(folder) as store:
        assert "put aside" in caplog.text
        assert_right(store)
        assert lists_of(store) is not None
        assert_right(store)
    assert_sound(folder)


def test_a_crash_while_vectors_are_added_leaves_no_index_that_is_out_of_date(folder: Path) -> None:
    """What is appended goes behind the mapped vectors, into a file that has lost its name by then."""
    with opened_store(folder) as store:
        fill(store, 9000, 30)
        assert list((folder / "index").iterdir()) == []
        crashed = Path(shutil.copytree(folder, folder.with_name("crashed")))
    with opened_store(crashed) as store:
        assert nearest(store, vector(9010), 1)[0].record.id == "s9010"
        assert_right(store)
