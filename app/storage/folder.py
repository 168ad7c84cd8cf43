"""The data folder: where things lie in it, and the lock that keeps a second process out."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import DataFolderError
from model.durable import sync_folder


class Layout:
    """Where things lie in a data folder; touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalog = path / "catalog.sqlite3"
        self.originals = path / "originals"
        self.thumbnails = path / "thumbnails"
        self.index = path / "index"
        self.reserve = path / "reserve"

    @property
    def is_new(self) -> bool:
        """Whether there is no catalog yet."""
        return not self.catalog.is_file() or self.catalog.stat().st_size == 0

    def check(self) -> None:
        """Raises DataFolderError if nothing was ever put into the folder."""
        if self.is_new:
            raise DataFolderError(f"{self.path} is not a data folder: it holds no {self.catalog.name}.")


class DataFolder(Layout):
    """An open data folder; made if it is not there, unless `create` says not to. Context manager.

    Raises DataFolderError if it cannot be made or used, is none and is not to be made, or if another process has it
    open.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        super().__init__(path)
        try:
            if create:
                _make(path)
            else:
                self.check()
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DataFolderError(f"The data folder {path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise DataFolderError(f"The data folder {path} is in use by another Parallax process.") from error
        except OSError as error:
            os.close(self._lock)
            raise DataFolderError(f"The data folder {path} cannot be locked: {error.strerror}.") from error

    def close(self) -> None:
        """Let other processes in."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _make(path: Path) -> None:
    """A folder whose name is on disk, too, and those above it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)
