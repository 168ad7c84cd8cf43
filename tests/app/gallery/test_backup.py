"""A copy that is made while everything is being changed is one state of the gallery, and whole."""

from __future__ import annotations

import json
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.__main__ import main
from app.errors import DataFolderError
from app.gallery.backup import Backup, back_up
from app.gallery.store import Store
from app.storage.folder import DataFolder, Layout
from tests.app.storage.test_crash_points import run_to_its_death
from tests.app.storing import (
    Gallery,
    Write,
    add,
    assert_sound,
    content,
    contents,
    files,
    findings,
    opened_store,
    sha256,
    silent,
)


def copy(store_path: Path, to: Path) -> Backup:
    return back_up(Layout(store_path), to, silent)


def test_a_copy_made_while_everything_is_changed_is_one_state_of_the_gallery(tmp_path: Path) -> None:
    data = tmp_path / "data"
    states: list[Gallery] = [{}]
    stop = threading.Event()

    def write(store: Store) -> None:
        """Replaces and deletes old pictures as often as new ones; so originals go while they are being copied."""
        chance = random.Random(0)
        while not stop.is_set():
            gallery = states[-1]
            name = chance.choice("abcdefghijkl")
            kind = chance.choice(["put", "put", "delete", "patch"]) if name in gallery else "put"
            one = Write(kind, name, chance.randrange(100))  # type: ignore[arg-type]
            states.append(one.on(gallery))
            one.to(store)

    with opened_store(data) as store, ThreadPoolExecutor(1) as pool:
        for number in range(30):
            one = Write("add", f"stays {number}", number)
            one.to(store)
            states.append(one.on(states[-1]))
        writing = pool.submit(write, store)
        try:
            spans = []
            for number in range(4):
                first = len(states) - 2  # of the last one, it is not known whether it is done
                copy(data, tmp_path / f"copy {number % 2}")
                spans.append((first, len(states)))
                assert_sound(tmp_path / f"copy {number % 2}")
                with opened_store(tmp_path / f"copy {number % 2}") as copied:
                    held = contents(copied)
                possible = states[first : len(states)]
                assert held in possible
        finally:
            stop.set()
        writing.result()
        assert contents(store) == states[-1]
    assert sum(last - first for first, last in spans) > 8, "nothing was changed meanwhile"
    assert_sound(data)


def test_a_second_copy_takes_only_what_is_new_and_drops_what_is_gone(tmp_path: Path) -> None:
    with opened_store(tmp_path / "data") as store:
        for number in range(5):
            add(store, number)
        assert copy(tmp_path / "data", tmp_path / "copy").copied == 5
        store.delete("p1")
        add(store, 7)
        assert copy(tmp_path / "data", tmp_path / "copy") == Backup(pictures=5, copied=1, lost=[])
        assert files(tmp_path / "copy") == {sha256(number) for number in (0, 2, 3, 4, 7)}
    assert_sound(tmp_path / "copy")


def test_a_copy_that_was_put_to_use_can_be_copied_to_again(tmp_path: Path) -> None:
    """The log of the catalog that the copy had, which was killed, must not be taken for a log of the new one."""
    data, copied = tmp_path / "data", tmp_path / "copy"
    with opened_store(data) as store:
        add(store, 1)
        copy(data, copied)

        def use_it() -> None:
            with opened_store(copied) as other:
                for number in range(20, 40):
                    add(other, number)
                signal.raise_signal(signal.SIGKILL)

        assert run_to_its_death(use_it, 10**9)
        assert (copied / "catalog.sqlite3-wal").stat().st_size > 0
        add(store, 2)
        copy(data, copied)
        assert_sound(copied)
        with opened_store(copied) as other:
            assert contents(other) == contents(store)


def test_a_backup_killed_at_any_step_leaves_the_one_before(tmp_path: Path) -> None:
    with opened_store(tmp_path / "data") as store:
        for number in range(3):
            add(store, number)
        copy(tmp_path / "data", tmp_path / "copy")
        before = contents(store)
        store.delete("p1")
        add(store, 7)
        after = contents(store)
    step, killed = 0, True
    while killed:
        killed = run_to_its_death(lambda: copy(tmp_path / "data", tmp_path / "copy") and None, step)
        assert_sound(tmp_path / "copy")
        with opened_store(tmp_path / "copy") as copied:
            assert contents(copied) in (before, after)
        step += 4
    assert contents_of(tmp_path / "copy") == after


def contents_of(path: Path) -> Gallery:
    with opened_store(path) as store:
        return contents(store)


def test_originals_that_are_lost_are_named_and_the_rest_is_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, copied = str(tmp_path / "data"), str(tmp_path / "copy")
    with opened_store(tmp_path / "data") as store:
        for number in range(4):
            add(store, number)
        store.originals.path(sha256(1)).unlink()
        store.originals.path(sha256(2)).write_bytes(content(3))
    assert main(["backup", "--data", data, copied, "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"pictures": 4, "copied": 2, "lost": sorted([sha256(1), sha256(2)])}
    assert sha256(1) in said.err
    assert len(findings(tmp_path / "copy").faults) == 2


def test_a_backup_refuses_what_would_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with opened_store(data) as store:
        add(store, 1)
    for inside in (data, data / "copy"):
        assert main(["backup", "--data", str(data), str(inside)]) == 1
        assert "in the data folder itself" in capsys.readouterr().err
    assert not (data / "copy").exists()
    assert main(["backup", "--data", str(tmp_path / "none"), str(tmp_path / "copy")]) == 1
    assert "is not a data folder" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()
    with DataFolder(tmp_path / "served"), pytest.raises(DataFolderError, match="in use"):
        copy(data, tmp_path / "served")
    assert main(["backup", "--data", str(data), str(tmp_path / "copy")]) == 0
    assert capsys.readouterr().out == "pictures in the copy: 1, originals that were new: 1\n"
