"""The data folder: where things lie in it, and the lock that keeps a second process out."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import DataFolderError


class DataFolder:
    """An open data folder; made if it is not there. Context manager.

    Raises DataFolderError if it cannot be made, or if another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalog = path / "catalog.sqlite3"
        self.originals = path / "originals"
        self.thumbnails = path / "thumbnails"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DataFolderError(f"The data folder {path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DataFolderError(f"The data folder {path} is in use by another Parallax process.") from error

    def close(self) -> None:
        """Let other processes in."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
