"""Errors of the disk under the data folder, as errors of ours: the one place that knows the numbers."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import StorageError, StorageFault, StorageFull
from app.operations import metrics

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_FOR_SQLITE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE,  # the file that its processes share could not grow
}
_OF_THE_CALLER = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)


@contextmanager
def file_errors() -> Iterator[None]:
    """What goes wrong with a file in the block is a StorageError: StorageFull or StorageFault."""
    try:
        yield
    except OSError as error:
        raise storage_error(error) from error


@contextmanager
def catalog_errors() -> Iterator[None]:
    """What goes wrong with the catalog's file in the block is a StorageError; a statement's own fault is not."""
    try:
        yield
    except _OF_THE_CALLER:
        raise
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_ERROR:
            raise
        raise storage_error(error) from error


def storage_error(error: OSError | sqlite3.Error) -> StorageError:
    """The sentence says what the disk said, and no path: it may be shown to anyone."""
    if isinstance(error, OSError):
        full, reason = error.errno in _FULL, error.strerror or type(error).__name__
    else:
        code = getattr(error, "sqlite_errorcode", 0)
        full, reason = code in _FULL_FOR_SQLITE or code & 0xFF in _FULL_FOR_SQLITE, str(error)
    metrics.STORAGE_ERRORS.labels("full" if full else "fault").inc()
    if full:
        return StorageFull("The disk of the data folder is full. Nothing was changed; free some space and try again.")
    return StorageFault(f"The data folder cannot be used at the moment: {reason}. Nothing was changed.")
