"""A collection that grows large is searched by lists, which follow it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.errors import StorageFull
from app.filters import parse_filter
from app.index import upkeep
from app.index.lists import Lists
from app.index.rows import MappedRows
from app.index.timeline import Timeline
from app.records.record import Condition, Keys
from app.storage.snapshot import Snapshot
from tests.app.index.growing import COUNT, assert_right, fill, lists_of, small_is_large
from tests.app.storing import assert_sound, nearest, opened_store, vector

pytestmark = pytest.mark.usefixtures(small_is_large.__name__)


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


def test_filters_are_asked_of_the_catalog_once_for_each_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    keys = Snapshot.keys

    def noted(self: Snapshot, condition: Condition) -> Keys:
        asked.append(condition)
        return keys(self, condition)

    monkeypatch.setattr(Snapshot, "keys", noted)
    condition = parse_filter({"kind": "rare"})
    with opened_store(tmp_path) as store:
        fill(store, 1, COUNT)
        assert lists_of(store) is not None
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
