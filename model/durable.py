"""Files that appear whole or not at all, and that stay after a power loss.

The order is temporary file, fsync, rename, fsync of the folder: "All File Systems Are Not Created Equal", OSDI 2014.
"""

from __future__ import annotations

import os
from pathlib import Path


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


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file, whole or not at all; it is there after a power loss once this returns."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_synced(unfinished, data)
        unfinished.replace(path)
        sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)
