"""Records, files and vectors agree, whatever is done to them and by how many at a time."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.errors import IdTaken, NotFound, NotReady, OriginalLost
from app.gallery.store import Added, Store
from app.records.record import Condition
from app.storage.folder import DataFolder
from tests.app.storing import (
    DIM,
    MODEL,
    Gallery,
    Write,
    add,
    assert_sound,
    candidate,
    content,
    contents,
    files,
    nearest,
    opened_store,
    put,
    sha256,
    silent,
    vector,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of five pictures, p0 to p4."""
    with opened_store(tmp_path) as store:
        for number in range(5):
            add(store, number, f"p{number}", {"number": number})
        yield store


def held(*numbers: int) -> Gallery:
    return {f"p{number}": (number, {"number": number}) for number in numbers}


class AgainstADictionary(RuleBasedStateMachine):
    """Any order of writes and restarts gives what a dictionary would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.path = Path(self.temporary.name)
        self.expected: Gallery = {}
        self.opened = opened_store(self.path)
        self.store = self.opened.__enter__()

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)
        assert_sound(self.path)
        self.temporary.cleanup()

    @rule(name=st.sampled_from("abcd"), number=st.integers(0, 5))
    def add(self, name: str, number: int) -> None:
        if name in self.expected:
            assert isinstance(self.store.add([candidate(self.store, number, name)])[0], IdTaken)
        else:
            self.write(Write("add", name, number))

    @rule(number=st.integers(0, 5))
    def add_without_an_id(self, number: int) -> None:
        (outcome,) = self.store.add([candidate(self.store, number)])
        assert isinstance(outcome, Added)
        assert outcome.duplicate == any(number == there for there, _ in self.expected.values())
        if not outcome.duplicate:
            self.expected[outcome.record.id] = (number, {})

    @rule(name=st.sampled_from("abcd"), number=st.integers(0, 5))
    def put(self, name: str, number: int) -> None:
        assert put(self.store, number, name, {"number": number}).created == (name not in self.expected)
        self.expected = Write("put", name, number).on(self.expected)

    @rule(name=st.sampled_from("abcd"), number=st.integers(0, 5))
    def patch(self, name: str, number: int) -> None:
        if name in self.expected:
            self.write(Write("patch", name, number))

    @rule(name=st.sampled_from("abcd"))
    def delete(self, name: str) -> None:
        if name in self.expected:
            self.write(Write("delete", name))
        else:
            with pytest.raises(NotFound):
                self.store.delete(name)

    @rule()
    def restart(self) -> None:
        self.opened.__exit__(None, None, None)
        self.opened = opened_store(self.path)
        self.store = self.opened.__enter__()

    def write(self, write: Write) -> None:
        write.to(self.store)
        self.expected = write.on(self.expected)

    @invariant()
    def holds_what_it_should(self) -> None:
        assert contents(self.store) == self.expected
        staging = self.path / "originals" / "staging"
        needed = {sha256(number) for number, _ in self.expected.values()}
        assert files(self.path) - {path.name for path in staging.iterdir()} == needed


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_a_picture_that_is_replaced_keeps_its_id_its_place_and_its_age(store: Store) -> None:
    before = store.get("p2")
    outcome = put(store, 9, "p2", {"new": True})
    assert not outcome.created
    assert outcome.record == store.get("p2")
    assert (outcome.record.key, outcome.record.created_at) == (before.key, before.created_at)
    assert (outcome.record.sha256, outcome.record.metadata) == (sha256(9), {"new": True})
    with store.catalog.snapshot() as records:
        assert [record.id for record in records.newest(10)] == ["p4", "p3", "p2", "p1", "p0"]
    assert nearest(store, vector(9), 1)[0].record.id == "p2"
    assert nearest(store, vector(2), 1)[0].score < 0.999
    assert not store.originals.path(sha256(2)).exists()


def test_the_file_of_a_replaced_picture_stays_while_another_needs_it(store: Store) -> None:
    add(store, 2, "another of the same bytes")
    put(store, 9, "p2")
    assert store.original(store.get("another of the same bytes")) == content(2)
    store.delete("another of the same bytes")
    assert not store.originals.path(sha256(2)).exists()


def test_a_replaced_picture_has_no_vector_left_by_any_model(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        add(store, 1, "p")
    with opened_store(tmp_path, "an0ther") as store:
        store.put(candidate(store, 2, "p", model="an0ther"))
    with opened_store(tmp_path) as store:
        assert store.count_without_vector() == 1
        assert nearest(store, vector(1), 10) == []


def test_metadata_are_changed_by_one_at_a_time_so_no_change_is_lost(store: Store) -> None:
    def count(_: int) -> None:
        store.update_metadata("p1", lambda metadata: metadata | {"count": metadata.get("count", 0) + 1})

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(count, range(40)):
            pass
    assert store.get("p1").metadata == {"number": 1, "count": 40}


def test_a_change_of_metadata_that_is_refused_changes_nothing(store: Store) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.update_metadata("p1", refuse)
    with pytest.raises(NotFound):
        store.update_metadata("p9", lambda metadata: metadata)
    assert contents(store) == held(*range(5))


def test_a_view_stays_as_it_is_whatever_is_written_meanwhile(store: Store) -> None:
    with store.index.view() as view:
        store.delete("p0")
        put(store, 9, "p1")
        add(store, 7, "p7")
        store.update_metadata("p2", lambda _: {"changed": True})
        assert view.records.count() == 5
        hits = view.find(vector(0), 10).hits
        assert hits[0].record.id == "p0"
        assert {hit.record.id: hit.record.metadata for hit in hits} == {f"p{n}": {"number": n} for n in range(5)}
        assert view.find(vector(1), 1).hits[0].record.id == "p1"
        assert view.find(vector(1), 1).hits[0].score > 0.999
    assert {hit.record.id for hit in nearest(store, vector(0), 10)} == {"p1", "p2", "p3", "p4", "p7"}


def test_a_search_among_some_finds_as_many_as_there_are(store: Store) -> None:
    with store.index.view() as view:
        odd = view.records.keys(Condition("metadata ->> 'number' IN (?, ?)", (1, 3)))
        found = view.find(vector(0), 2, keys=odd).hits
        assert {hit.record.id for hit in found} == {"p1", "p3"}
        best = sorted((float(vector(0) @ vector(n)) for n in (1, 3)), reverse=True)
        assert [hit.score for hit in found] == pytest.approx(best, abs=1e-6)
        assert view.find(vector(0), 1, offset=1, keys=odd).hits[0].record.id == found[1].record.id
        assert view.find(vector(0), 10, keys=np.array([], np.int64)).hits == []
        assert len(view.index.sample_scores(vector(0), 3)) == 3


def test_a_catalog_changed_by_another_program_is_followed(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as catalog, catalog:
        catalog.execute("PRAGMA foreign_keys = ON")
        catalog.execute("DELETE FROM images WHERE id = 'p1'")
    assert [hit.record.id for hit in nearest(store, vector(1), 10)].count("p1") == 0
    assert len(nearest(store, vector(1), 10)) == 4
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as catalog, catalog:
        catalog.execute("DELETE FROM images WHERE id = 'p2'")  # which leaves its vector
    add(store, 8, "p8")  # before any search has seen that
    assert {hit.record.id for hit in nearest(store, vector(8), 10)} == {"p0", "p3", "p4", "p8"}


def test_a_question_that_sqlite_does_not_understand_is_no_fault_of_the_disk(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such column"), store.catalog.snapshot() as records:
        records.keys(Condition("no_such_field = 1"))
    with pytest.raises(sqlite3.OperationalError, match="JSON"), store.catalog.snapshot() as records:
        records.keys(Condition("json('{') = 1"))
    assert contents(store) == held(*range(5))


def test_a_file_that_cannot_be_removed_goes_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with opened_store(tmp_path) as store:
        add(store, 1, "p1", {"number": 1})
        add(store, 2, "p2", {"number": 2})
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            store.delete("p1")
        assert contents(store) == held(2)
        assert store.originals.path(sha256(1)).exists()
    assert_sound(tmp_path)
    for removable in (False, True):
        with monkeypatch.context() as patch:
            if not removable:
                patch.setattr(Path, "unlink", refuse)
            with opened_store(tmp_path) as store:
                assert contents(store) == held(2)
        assert_sound(tmp_path)
    assert files(tmp_path) == {sha256(2)}


def test_a_search_that_is_overtaken_again_and_again_is_answered_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the catalog and its look at the index, so much is written that the index has moved on."""
    looked = 0
    snapshot = store.catalog.snapshot

    class Overtaken:
        def __init__(self) -> None:
            self.snapshot = snapshot()

        def __enter__(self) -> Any:
            nonlocal looked
            records = self.snapshot.__enter__()
            looked += 1
            if looked <= 3:  # from the fourth on, the search holds the lock
                monkeypatch.setattr(store.catalog, "snapshot", snapshot)
                for number in range(10):
                    store.update_metadata("p1", lambda _, number=number: {"number": number})
                monkeypatch.setattr(store.catalog, "snapshot", Overtaken)
            return records

        def __exit__(self, *error: Any) -> Any:
            return self.snapshot.__exit__(*error)

    monkeypatch.setattr(store.catalog, "snapshot", Overtaken)
    with store.index.view() as view:
        assert len(view.find(vector(1), 10).hits) == 5
    assert looked == 4


def test_a_failure_in_the_middle_of_a_transaction_leaves_nothing_of_it(store: Store) -> None:
    records = [store.get("p0"), store.get("p1")]
    with pytest.raises(sqlite3.IntegrityError), store.catalog.change() as change:
        change.insert(records, np.stack([vector(0), vector(1)]), MODEL)  # ids that are there
    assert contents(store) == held(*range(5))
    store.set_note("still", "writable")
    assert store.catalog.note("still") == "writable"


def test_what_is_written_while_the_index_is_made_is_in_it(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        for number in range(5):
            add(store, number, f"p{number}", {"number": number})
    (tmp_path / "index" / "manifest.json").unlink()
    with DataFolder(tmp_path) as folder:
        store = Store(folder, dim=DIM, fingerprint=MODEL)

        def write(done: int, total: int) -> None:
            if done == total:  # every vector is read
                store.delete("p1")
                put(store, 6, "p2", {"number": 6})
                Write("add", "p7", 7).to(store)
                with pytest.raises(NotReady):
                    nearest(store, vector(1), 1)

        store.index.open(write)
        assert contents(store) == held(0, 3, 4, 7) | {"p2": (6, {"number": 6})}
        store.close()
    assert_sound(tmp_path)


def test_before_there_is_an_index_everything_but_search_works(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        store = Store(folder, dim=DIM, fingerprint=MODEL)
        store.index.not_ready = "Only 3 of 5 are done."
        Write("add", "p1", 1).to(store)
        Write("add", "p2", 2).to(store)
        store.delete("p2")
        assert store.get("p1").sha256 == sha256(1)
        with pytest.raises(NotReady, match=r"Only 3 of 5 are done\."):
            nearest(store, vector(1), 1)
        store.index.open(silent)
        assert contents(store) == held(1)
        store.close()


def test_an_original_that_is_damaged_is_never_taken_for_the_picture(store: Store) -> None:
    store.originals.path(sha256(1)).write_bytes(content(2))
    with pytest.raises(OriginalLost):
        store.original(store.get("p1"))
    store.originals.path(sha256(1)).unlink()
    with pytest.raises(OriginalLost):
        store.original(store.get("p1"))
    assert store.original(store.get("p2")) == content(2)
    add(store, 1, "the same bytes, uploaded again")
    assert store.original(store.get("p1")) == content(1)


def test_vectors_of_another_model_go_only_where_there_are_new_ones(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        for number in range(3):
            add(store, number, f"p{number}")
    with opened_store(tmp_path, "an0ther") as store:
        records = store.without_vector(0, 10)
        assert [record.id for record in records] == ["p0", "p1", "p2"]
        some = [record for record in records if record.id != "p1"]
        store.set_vectors(some, np.stack([vector(n, "an0ther") for n in (0, 2)]))
        store.drop_other_vectors(threading.Event())
        assert {hit.record.id for hit in nearest(store, vector(0), 10)} == {"p0", "p2"}
    with opened_store(tmp_path) as store:
        assert [hit.record.id for hit in nearest(store, vector(0), 10)] == ["p1"]
        assert store.count_without_vector() == 2


def test_a_vector_made_of_a_picture_that_was_replaced_meanwhile_is_not_taken(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        for number in range(3):
            add(store, number, f"p{number}")
    with opened_store(tmp_path, "an0ther") as store:
        records = store.without_vector(0, 10)
        store.put(candidate(store, 7, "p0", model="an0ther"))
        store.delete("p1")
        store.set_vectors(records, np.stack([vector(n, "an0ther") for n in range(3)]))
        found = nearest(store, vector(7, "an0ther"), 10)
        assert [hit.record.id for hit in found] == ["p0", "p2"]
        assert found[0].score > 0.999


def test_snapshots_give_their_connections_back(store: Store) -> None:
    for _ in range(100):
        store.get("p1")
        with pytest.raises(NotFound):
            store.get("none")
    assert len(store.catalog._idle) == 1
