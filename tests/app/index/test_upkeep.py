"""A collection that grows large is searched by lists, which follow it, and are there again at the next start."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import StorageFull
from app.filters import parse_filter
from app.gallery.store import Store
from app.index import exact, upkeep
from app.index.file import IndexFile, Manifest
from app.index.lists import Lists
from app.index.rows import MappedRows
from app.index.timeline import Timeline
from app.records.record import Condition, Keys
from app.storage.snapshot import Snapshot
from tests.app.storing import DIM, MODEL, add, assert_sound, findings, nearest, opened_store, vector

COUNT = 400
SMALL = 100


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists over a few hundred vectors, though comparing with all of them would be as quick."""
    monkeypatch.setattr(exact, "EXACT_UP_TO", SMALL)
    monkeypatch.setattr(upkeep, "_LARGEST_TAIL", 50)
    monkeypatch.setattr("app.index.recall._WORTH", 1e9)
    monkeypatch.setattr("app.index.recall._MORE_TIME", 1.0)  # of so few, no choice takes much more than another


def fill(store: Store, start: int, count: int) -> None:
    """Many records on one file, whose bytes are of no matter here."""
    first = store.catalog.by_id("first") or add(store, 0, "first")
    entries = [replace(first, id=f"s{number}") for number in range(start, start + count)]
    with store.index.change() as change:
        change.insert(entries, np.stack([vector(number) for number in range(start, start + count)]), MODEL)


def lists_of(store: Store) -> Lists | None:
    store.index.wait_for_upkeep()
    with store.index.view() as view:
        return view.index.lists


def assert_right(store: Store) -> None:
    """Most of the nearest are found, each with its cosine, and nothing that is not there."""
    found = right = 0
    with store.index.view() as view:
        everything = view.index.with_lists(None)
        for number in range(1000, 1030):
            query = vector(number)
            hits, best = dict(view.index.search(query, 10)), dict(everything.search(query, 10))
            found, right = found + len(hits.keys() & best.keys()), right + len(best)
            there = view.records.by_keys(list(hits))
            assert there.keys() == hits.keys()
            for key, score in hits.items():
                stored = view.records.vector(key, MODEL)
                assert stored is not None
                assert float(stored @ query) == pytest.approx(score, abs=1e-5)
    assert found >= 0.9 * right


def test_a_collection_that_grows_and_changes_is_searched_by_lists_that_follow_it(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        fill(store, 1, 50)
        assert lists_of(store) is None
        assert store.index.recall_estimate is None
        fill(store, 51, COUNT)
        lists = lists_of(store)
        assert lists is not None
        assert lists.covered == COUNT + 51
        assert (store.index.recall_estimate or 0) >= 0.98
        assert_right(store)
        store.delete("s60")
        fill(store, 1000, 1)
        assert nearest(store, vector(1000), 1)[0].record.id == "s1000", "it is found before any list has it"
        assert "s60" not in [hit.record.id for hit in nearest(store, vector(60), 5)]
        fill(store, 2000, 60)
        taken_in = lists_of(store)
        assert taken_in is not None
        assert taken_in.covered == COUNT + 51 + 61
        fill(store, 3000, COUNT)
        again = lists_of(store)
        assert again is not None
        assert again.trained_on > lists.trained_on, "for many more vectors, the centroids are learned anew"
        assert_right(store)
    assert_sound(tmp_path)


def test_recall_is_measured_again_once_more_is_known_of_what_is_asked(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        fill(store, 1, COUNT)
        lists = lists_of(store)
        assert lists is not None
        assert lists.measured_with == 0, "nothing was asked yet"
        for number in range(15):
            nearest(store, vector(5000 + number), 1)
        assert lists_of(store) is lists, "so few say nothing"
        for _ in range(40):
            nearest(store, vector(5000), 1)
        assert lists_of(store) is lists, "nor do more pages of one of them"
        nearest(store, vector(6000), 1)
        again = lists_of(store)
        assert again is not None
        assert (again.measured_with, again.trained_on) == (16, lists.trained_on)
        assert again.probes_at_first == again.probes, "more of them are no fault of the centroids"
        for number in range(20):
            nearest(store, vector(7000 + number), 1)
        assert lists_of(store) is again, "twice as many say no more"
    assert_sound(tmp_path)
    with opened_store(tmp_path) as store:
        loaded = lists_of(store)
        assert loaded is not None
        assert loaded.measured_with == 16


def test_what_many_removed_leave_is_closed_up(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        fill(store, 1, COUNT)
        assert lists_of(store) is not None
        for number in range(1, COUNT, 3):
            store.delete(f"s{number}")
        store.index.wait_for_upkeep()
        with store.index.view() as view:
            assert view.index.rows[1] < COUNT
        assert_right(store)
        for number in range(2, COUNT, 3):
            store.delete(f"s{number}")
        for number in range(3, COUNT, 6):
            store.delete(f"s{number}")
        assert lists_of(store) is None, "few are compared one by one again"
        assert_right(store)
    assert_sound(tmp_path)


def test_where_every_vector_is_compared_many_lie_in_a_file_all_the_same(tmp_path: Path) -> None:
    def count_in_file() -> int:
        store.index.wait_for_upkeep()
        with store.index.view() as view:
            rows, count, _ = view.index.rows
        assert isinstance(rows, MappedRows)
        return count

    with opened_store(tmp_path, target_recall=1) as store:
        fill(store, 1, COUNT)
        assert count_in_file() == COUNT + 1
        for number in range(1, COUNT // 2):
            store.delete(f"s{number}")
            assert count_in_file() <= (COUNT + 1 - number) / (1 - 0.25), "and what is removed leaves it"
        assert lists_of(store) is None
        assert_right(store)
    assert_sound(tmp_path)


def test_changes_while_lists_are_learned_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()
    learn = upkeep.trained

    def slowly(*arguments: object) -> object:
        began.set()
        assert go_on.wait(60)
        return learn(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(upkeep, "trained", slowly)
    with opened_store(tmp_path) as store:
        fill(store, 1, COUNT)
        assert began.wait(60)
        store.delete("s7")
        fill(store, 1000, 30)
        assert nearest(store, vector(1003), 1)[0].record.id == "s1003"
        assert_right(store)
        go_on.set()
        assert lists_of(store) is not None
        assert nearest(store, vector(1003), 1)[0].record.id == "s1003"
        assert "s7" not in [hit.record.id for hit in nearest(store, vector(7), 5)]
        assert_right(store)
    assert_sound(tmp_path)


@pytest.mark.parametrize("step", ["trained", "measured"])
def test_a_service_that_ends_does_not_wait_for_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    began = threading.Event()

    def forever(*arguments: object) -> Lists:
        *_, stop = arguments
        assert isinstance(stop, threading.Event)
        began.set()
        assert stop.wait(60)
        raise upkeep.Stopped

    monkeypatch.setattr(upkeep, step, forever)
    with opened_store(tmp_path) as store:
        fill(store, 1, COUNT)
        assert began.wait(60)
    assert_sound(tmp_path)


def test_what_goes_wrong_with_lists_leaves_searches_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Lists:
        raise MemoryError

    monkeypatch.setattr(upkeep, "trained", fails)
    with opened_store(tmp_path) as store:
        fill(store, 1, COUNT)
        assert lists_of(store) is None
        assert "goes on as it is" in caplog.text
        assert_right(store)


def test_no_room_for_what_came_meanwhile_ends_neither_upkeep_nor_the_service_in_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise StorageFull("there is no room")

    with opened_store(tmp_path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Timeline, "improve", full)
            fill(store, 1, COUNT)
            assert lists_of(store) is None
            assert "goes on as it is" in caplog.text
            assert_right(store)
        fill(store, 1000, COUNT)
        assert lists_of(store) is not None, "it is tried again when there is more"
        assert_right(store)
    assert_sound(tmp_path)


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


def test_filters_are_asked_of_the_catalog_once_for_each_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    keys = Snapshot.keys

    def noted(self: Snapshot, condition: Condition) -> Keys:
        asked.append(condition)
        return keys(self, condition)

    monkeypatch.setattr(Snapshot, "keys", noted)
    condition = parse_filter({"kind": "rare"})
    with opened_store(folder) as store:
        store.update_metadata("s50", lambda _: {"kind": "rare"})
        for _ in range(3):
            with store.index.view() as view:
                (hit,) = view.find(vector(1), 5, keys=view.keys(condition)).hits
                assert hit.record.id == "s50"
        assert len(asked) == 1
        store.update_metadata("s51", lambda _: {"kind": "rare"})
        with store.index.view() as view:
            assert len(view.find(vector(1), 5, keys=view.keys(condition)).hits) == 2
        assert len(asked) == 2
