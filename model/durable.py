"""Files that appear whole or not at all, and that stay after a power loss.

The order is temporary file, fsync, rename, fsync of the folder: "All File Systems Are Not Created Equal", OSDI 2014.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that is on disk when this returns. Its name is not, until `sync_folder`."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power loss; a rename alone does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` when the block ends, and does not when it raises.

    It is there after a power loss once the block has ended.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file, whole or not at all; it is there after a power loss once this returns."""
    with open_atomic(path) as file:
        file.write(data)
