"""What is answered is on the disk, not only with the operating system: the order of writes and waits for that."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from app.errors import StorageFault
from app.gallery.store import Store
from app.storage.folder import DataFolder
from tests.app.storing import add, candidate, content, opened_store, put, sha256

Step = tuple[str, str]
"""What was done, and to which file or folder."""


@contextmanager
def watched(store: Store) -> Iterator[list[Step]]:
    """The steps that are taken in the block."""
    steps: list[Step] = []

    def fsync(descriptor: int) -> None:
        steps.append(("synced", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        original_fsync(descriptor)

    def replace(source: Any, target: Any) -> None:
        steps.append(("named", str(target)))
        original_replace(source, target)

    def mkdir(path: Any, *arguments: Any) -> None:
        steps.append(("named", str(path)))
        original_mkdir(path, *arguments)

    original_fsync, original_replace, original_mkdir = os.fsync, os.replace, os.mkdir
    store.catalog._writer.set_trace_callback(lambda statement: steps.append(("catalog", statement)))
    with mock.patch.multiple(os, fsync=fsync, replace=replace, mkdir=mkdir):
        yield steps
    store.catalog._writer.set_trace_callback(None)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open files are read from /proc")
@pytest.mark.parametrize(
    "write", [lambda store: add(store, 7, "p"), lambda store: put(store, 7, "p")], ids=["add", "put"]
)
def test_an_original_and_its_name_are_on_disk_before_the_row_that_needs_them(
    tmp_path: Path, write: Callable[[Store], object]
) -> None:
    path = tmp_path / "data"
    with opened_store(path) as store:
        with watched(store) as steps:
            write(store)
        place = path / "originals" / sha256(7)[:2]
        named = steps.index(("named", str(place / sha256(7))))
        staged = next(at for at, step in enumerate(steps) if step[0] == "synced" and "staging" in step[1])
        folder_named = steps.index(("named", str(place)))
        committed = steps.index(("catalog", "COMMIT"))
        assert staged < named, "the bytes before the name"
        assert named < steps.index(("synced", str(place))) < committed, "the name before the row"
        assert folder_named < steps.index(("synced", str(place.parent))) < named, "the new folder before what is in it"
        assert store.original(store.get("p")) == content(7)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open files are read from /proc")
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_folder_of_a_write_that_failed_has_its_name_on_disk_before_the_next_row(tmp_path: Path, failing: str) -> None:
    path = tmp_path / "data"
    place = path / "originals" / sha256(7)[:2]
    with opened_store(path) as store, watched(store) as steps:
        one = candidate(store, 7, "p")
        with mock.patch(f"os.{failing}", side_effect=OSError(errno.EIO, "it broke")), pytest.raises(StorageFault):
            store.put(one)
        put(store, 7, "p")
        last = max(at for at, step in enumerate(steps) if step == ("named", str(place)))
        synced = [at for at, step in enumerate(steps) if step == ("synced", str(place.parent)) and at > last]
        committed = max(at for at, step in enumerate(steps) if step == ("catalog", "COMMIT"))
        assert synced
        assert synced[0] < committed


def test_a_new_folder_of_originals_is_on_disk_with_what_is_in_it(tmp_path: Path) -> None:
    synced: list[Path] = []
    with mock.patch("app.storage.originals.sync_folder", synced.append), opened_store(tmp_path / "data"):
        assert set(synced) == {tmp_path / "data", tmp_path / "data" / "originals"}


def test_the_catalog_waits_for_the_disk_at_every_commit(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        writer = store.catalog._writer
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_new_data_folder_is_on_disk_with_all_folders_above_it(tmp_path: Path) -> None:
    synced: list[Path] = []
    with mock.patch("app.storage.folder.sync_folder", synced.append), DataFolder(tmp_path / "a" / "b"):
        assert set(synced) == {tmp_path, tmp_path / "a"}
