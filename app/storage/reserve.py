"""Room that is kept free, so that pictures can be deleted when the disk is full: to forget, too, has to be written."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

_BYTES = 2 * 2**20
_SHARE = 1 / 50
"""Of the disk, at most."""


class Reserve:
    """A file of no content. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Take the room if it is free and not taken yet."""
        with contextlib.suppress(OSError):
            if self._path.exists():
                return
            size = min(_BYTES, int(shutil.disk_usage(self._path.parent).total * _SHARE))
            try:
                with self._path.open("xb") as file:
                    file.write(bytes(size))
            except OSError:
                self._path.unlink(missing_ok=True)

    def release(self) -> bool:
        """Give the room back. False if there is none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
