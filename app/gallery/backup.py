"""A copy of a data folder, made while it is in use: exactly one committed state of it.

SQLite copies the catalog as of one moment. Originals never change, so the only thing to see to is that those which the
copied catalog needs are there: most are copied before the catalog, the newest after it. If one of these was deleted in
between, the catalog is copied once more.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import DataFolderError
from app.index.file import IndexFile
from app.storage.disk import catalog_errors, file_errors
from app.storage.folder import DataFolder, Layout
from app.storage.originals import Originals, Staged
from model.durable import sync_folder

_ROUNDS = 20
_BATCH = 64
"""Originals that are made durable together."""


@dataclass(slots=True)
class Backup:
    """What was copied."""

    pictures: int = 0
    copied: int = 0
    """Originals that the copy did not have before."""
    lost: list[str] = field(default_factory=list)
    """Hashes of originals that are missing or damaged in the folder itself; the copy lacks them too."""


def back_up(source: Layout, destination: Path, report: Callable[[int, int], None]) -> Backup:
    """Make a copy, or bring it up to date; the catalog that it had is replaced at the very end.

    `report` is told how many of how many originals are there. Raises DataFolderError or StorageError.
    """
    source.check()
    if destination.resolve().is_relative_to(source.path.resolve()):
        raise DataFolderError(f"{destination} is in the data folder itself; a backup belongs elsewhere.")
    with catalog_errors(), file_errors(), DataFolder(destination) as folder, closing(_open(source.catalog)) as catalog:
        return _Copy(source, folder, report).make(catalog)


def _silent(done: int, total: int) -> None:
    pass


class _Copy:
    def __init__(self, source: Layout, destination: DataFolder, report: Callable[[int, int], None]) -> None:
        self._destination, self._report = destination, report
        self._from, self._to = Originals(source), Originals(destination)
        self._to.prepare()
        self._draft = destination.path / "catalog.new"
        self._copied: list[str] = []

    def make(self, catalog: sqlite3.Connection) -> Backup:
        self._copy_originals(_hashes(catalog), self._report)
        for _ in range(_ROUNDS):
            pictures, needed = self._copy_catalog(catalog)
            missing = self._copy_originals(needed)
            lost = self._copy_originals(missing & _hashes(catalog))  # once more: deleted and added again, perhaps
            if lost == missing:
                break  # those that are missing here are so there, and all else is here
        else:
            raise DataFolderError("Pictures are deleted faster than they are copied. Try again later.")
        unused = [sha256 for sha256 in self._to.hashes() if sha256 not in needed]
        self._to.doubt(unused)
        self._publish()
        gone = [sha256 for sha256 in unused if self._to.remove(sha256)]
        self._to.settle([*self._copied, *gone])
        return Backup(pictures, len(needed.intersection(self._copied)), sorted(lost))

    def _copy_catalog(self, catalog: sqlite3.Connection) -> tuple[int, set[str]]:
        for left_by_a_crash in (self._draft, self._draft.with_name(f"{self._draft.name}-journal")):
            left_by_a_crash.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._draft, isolation_level=None)) as draft:
            catalog.backup(draft)
            draft.execute("PRAGMA journal_mode = DELETE")  # one file, which can be renamed
            (pictures,) = draft.execute("SELECT count(*) FROM images").fetchone()
            return int(pictures), _hashes(draft)

    def _copy_originals(self, hashes: Iterable[str], report: Callable[[int, int], None] = _silent) -> set[str]:
        """Those that are missing or damaged."""
        wanted = sorted(hashes)
        missing: set[str] = set()
        batch: list[Staged] = []
        for done, sha256 in enumerate(wanted, start=1):
            if not self._to.path(sha256).is_file():
                data = self._from.read(sha256)
                if data is None:
                    missing.add(sha256)
                else:
                    batch.append(self._to.stage(sha256, data))
            if len(batch) == _BATCH or done == len(wanted):
                self._to.publish(batch)
                self._copied += [staged.sha256 for staged in batch]
                batch = []
            report(done, len(wanted))
        return missing

    def _publish(self) -> None:
        """The draft becomes the catalog. The log of the one before must not be taken for its own."""
        old = self._destination.catalog
        log, shared = old.with_name(f"{old.name}-wal"), old.with_name(f"{old.name}-shm")
        if log.exists():
            with suppress(sqlite3.Error), closing(_open(old)) as catalog:
                catalog.execute("PRAGMA journal_mode = DELETE")
        IndexFile(self._destination.index).forget()
        log.unlink(missing_ok=True)
        shared.unlink(missing_ok=True)
        with self._draft.open("rb") as draft:
            os.fsync(draft.fileno())
        self._draft.replace(old)
        sync_folder(old.parent)


def _open(path: Path) -> sqlite3.Connection:
    """A catalog of any version, as it is. Raises sqlite3.Error if there is none."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=30)


def _hashes(catalog: sqlite3.Connection) -> set[str]:
    return {sha256 for (sha256,) in catalog.execute("SELECT DISTINCT sha256 FROM images")}
