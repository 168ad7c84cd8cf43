"""Where vectors lie: in memory while they are few, in a file that is mapped when they are many.

What is written stays, so that indexes may look at beginnings of it while more is appended. A mapped file takes memory
only as long as there is some to spare: the system may drop its pages and read them again.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.records.record import Keys, Vectors
from app.storage.disk import file_errors

_FLOAT = 4


class Rows:
    """Room for vectors under keys, in memory."""

    def __init__(self, room: int, dim: int) -> None:
        self.vectors: Vectors = np.empty((room, dim), np.float32)
        self.keys: Keys = np.empty(room, np.int64)
        self.used = 0

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    def append(self, keys: Sequence[int] | Keys, vectors: Vectors) -> None:
        end = self.used + len(keys)
        self.vectors[self.used : end], self.keys[self.used : end] = vectors, keys
        self.used = end

    def grown(self, room: int) -> Rows | None:  # noqa: ARG002
        """The same rows with more room behind them, or None if they have to be copied for that."""
        return None

    def release(self) -> None:
        """Give memory back after all rows were read, where they can be read again."""


class MappedRows(Rows):
    """Room for vectors in a file, which is nobody else's: it has no name, or loses it before anything is appended."""

    def __init__(self, descriptor: int, offset: int, keys: Keys, used: int, dim: int, *, writable: bool) -> None:
        """The open file has vectors from `offset` on, with room for as many as there are `keys`; it may be closed."""
        self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        self._map.madvise(mmap.MADV_RANDOM)  # searches read single rows; what is around them is not wanted
        self._file = _Descriptor(descriptor)
        self._offset, self._writable = offset, writable
        room = len(keys)
        numbers: NDArray[np.float32] = np.frombuffer(self._map, np.float32, room * dim, offset)
        self.vectors, self.keys, self.used = numbers.reshape(room, dim), keys, used

    @classmethod
    def in_folder(cls, folder: Path, room: int, dim: int) -> MappedRows:
        """Empty, in a file without a name, which goes with the process. Raises StorageError."""
        room = max(room, 1)
        with file_errors():
            folder.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                _reserve(file.fileno(), room * dim * _FLOAT)
                return cls(file.fileno(), 0, np.empty(room, np.int64), 0, dim, writable=True)

    def grown(self, room: int) -> MappedRows | None:
        """Raises StorageError."""
        if not self._writable:
            return None
        with file_errors():
            _reserve(self._file.number, self._offset + room * self.dim * _FLOAT)
            keys = np.empty(room, np.int64)
            keys[: self.used] = self.keys[: self.used]
            after = MappedRows(self._file.number, self._offset, keys, self.used, self.dim, writable=True)
        self.used = -1  # whoever goes on from here has to take other room
        return after

    def release(self) -> None:
        self._map.madvise(mmap.MADV_DONTNEED)


class _Descriptor:
    """An open file of one's own, closed with the last reference to it."""

    def __init__(self, number: int) -> None:
        self.number = os.dup(number)

    def __del__(self) -> None:
        os.close(self.number)


def _reserve(descriptor: int, size: int) -> None:
    """On a full disk this fails. Writing to a mapped file would end the process."""
    os.posix_fallocate(descriptor, 0, size)
