"""A data folder that an earlier version filled is opened with everything that is in it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.errors import DataFolderError
from app.gallery.store import Store
from app.storage.folder import DataFolder
from tests.app.storage.test_crash_points import run_to_its_death
from tests.app.storing import (
    DIM,
    MODEL,
    Gallery,
    Write,
    assert_sound,
    content,
    contents,
    opened_store,
    sha256,
    vector,
)

VERSION_1 = """
CREATE TABLE images (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    content_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT;
CREATE INDEX images_by_sha256 ON images (sha256);
CREATE TABLE vectors (
    key INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    vector BLOB NOT NULL
) STRICT;
CREATE TABLE unreferenced (sha256 TEXT PRIMARY KEY) STRICT;
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
PRAGMA user_version = 1;
"""
HELD: Gallery = {f"p{number}": (number, {"number": number}) for number in range(10)}


def of_version_1(path: Path) -> Path:
    """A folder of ten pictures, the last two encoded by another model, as the first version left it."""
    path.mkdir()
    with closing(sqlite3.connect(path / "catalog.sqlite3", isolation_level=None)) as catalog:
        catalog.executescript(VERSION_1)
        catalog.execute("PRAGMA journal_mode = WAL")
        for number in range(10):
            row = (f"p{number}", sha256(number), "image/png", len(content(number)), 3, 2, "2026-01-02T03:04:05.678Z")
            catalog.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (100 + number, *row, json.dumps({"number": number})),
            )
            model = MODEL if number < 8 else "0lder"
            blob = vector(number, model).astype("<f4").tobytes()
            catalog.execute("INSERT INTO vectors VALUES (?, ?, ?)", (100 + number, model, blob))
            original = path / "originals" / sha256(number)[:2] / sha256(number)
            original.parent.mkdir(parents=True, exist_ok=True)
            original.write_bytes(content(number))
        gone = path / "originals" / sha256(50)[:2] / sha256(50)
        gone.parent.mkdir(parents=True, exist_ok=True)
        gone.write_bytes(content(50))
        catalog.execute("INSERT INTO unreferenced VALUES (?)", (sha256(50),))
        catalog.execute("INSERT INTO notes VALUES ('demo gallery demo.tar', '1600')")
    return path


def check(path: Path) -> None:
    with opened_store(path) as store:
        assert store.count_without_vector() == 2
        with store.catalog.snapshot() as records:
            assert [record.key for record in records.oldest(100)] == list(range(100, 110))
            assert records.vector(109, "0lder") is not None
        assert store.catalog.note("demo gallery demo.tar") == "1600"
        store.set_vectors(store.without_vector(0, 10), np.stack([vector(8), vector(9)]))
        assert contents(store) == HELD
        Write("add", "p10", 10).to(store)
        assert store.get("p10").key == 110
        store.delete("p10")
    assert not (path / "originals" / sha256(50)[:2] / sha256(50)).exists()
    assert_sound(path)


def test_a_folder_of_version_1_keeps_everything(tmp_path: Path) -> None:
    check(of_version_1(tmp_path / "data"))


def test_a_folder_of_version_1_whose_process_was_killed_keeps_everything(tmp_path: Path) -> None:
    """Its last writes are in the log beside the catalog, not in the catalog yet."""
    path = of_version_1(tmp_path / "data")
    with closing(sqlite3.connect(path / "catalog.sqlite3")) as catalog:
        catalog.execute("PRAGMA journal_mode = WAL")
        with catalog:
            catalog.execute("UPDATE notes SET value = '7'")
            catalog.execute("UPDATE notes SET value = '1600'")
        (tmp_path / "copy").mkdir()
        for file in ("catalog.sqlite3", "catalog.sqlite3-wal"):
            (tmp_path / "copy" / file).write_bytes((path / file).read_bytes())
    (path / "originals").rename(tmp_path / "copy" / "originals")
    assert (tmp_path / "copy" / "catalog.sqlite3-wal").stat().st_size > 0
    check(tmp_path / "copy")


def test_a_process_killed_at_every_step_of_a_migration_loses_nothing(tmp_path: Path) -> None:
    step, killed = 0, True
    while killed:
        path = of_version_1(tmp_path / str(step))

        def migrate(path: Path = path) -> None:
            with DataFolder(path) as folder:
                Store(folder, dim=DIM, fingerprint=MODEL).close()

        killed = run_to_its_death(migrate, step)
        check(path)
        step += 1
    assert step > 20


def test_a_vector_without_a_picture_does_not_stop_a_migration(tmp_path: Path) -> None:
    path = of_version_1(tmp_path / "data")
    with closing(sqlite3.connect(path / "catalog.sqlite3")) as catalog, catalog:
        catalog.execute("INSERT INTO vectors VALUES (999, 'm0de1', x'00')")
    check(path)


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(tmp_path: Path) -> None:
    path = of_version_1(tmp_path / "data")
    with closing(sqlite3.connect(path / "catalog.sqlite3")) as catalog:
        catalog.execute("CREATE TABLE models (mine TEXT)")  # in the way
        before = list(catalog.iterdump())
    with DataFolder(path) as folder, pytest.raises(DataFolderError, match="already exists"):
        Store(folder, dim=DIM, fingerprint=MODEL)
    with closing(sqlite3.connect(path / "catalog.sqlite3")) as catalog:
        assert list(catalog.iterdump()) == before
        assert catalog.execute("PRAGMA user_version").fetchone() == (1,)
        catalog.execute("DROP TABLE models")
    check(path)
