"""The index on disk: a cache that saves a start the reading of every vector from the catalog.

`index/vectors` holds the keys, then the vectors; `index/lists`, if there are lists, what they are; and
`index/manifest.json` says of which model and of which state of the catalog, and is written last. Whatever does not fit
in every respect is put aside, never searched and never repaired: the catalog has it all.

The vectors of a large index are not read into memory but mapped, after their sum was found to be right.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import IndexUnfit
from app.index.exact import Index, is_large
from app.index.lists import Lists, packed, unpacked
from app.index.rows import MappedRows, Rows
from model.durable import sync_folder, write_atomic

_BATCH = 16_384
_NOBODY = -1
"""The key of a row that is not valid; it is there because lists know rows by their number."""

Part = tuple[int, bytes | memoryview]
"""How many rows are in a piece of a file that were in none before, and the piece."""

log = logging.getLogger("parallax")


class Stamp(BaseModel):
    """What an index was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str
    """Fingerprint."""
    dim: int = Field(ge=1)
    changes: int = Field(ge=0)
    token: str
    """With `changes`, the state of the catalog."""


class Measures(BaseModel):
    """What is known of lists beside themselves; see `Lists`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trained_on: int = Field(ge=1)
    probes: int = Field(ge=1)
    candidates: int = Field(ge=1)
    recall: float = Field(ge=0, le=1)
    measured_on: int = Field(ge=1)
    measured_with: int = Field(0, ge=0)
    probes_at_first: int = Field(ge=1)

    @classmethod
    def of(cls, lists: Lists) -> Measures:
        return cls.model_validate({name: getattr(lists, name) for name in cls.model_fields})


class Manifest(BaseModel):
    """What is in the file of the vectors, and in that of the lists."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    stamp: Stamp
    count: int = Field(ge=0)
    """Rows, of which some are nobody's if there are lists."""
    sha256: str
    """Of the file."""
    lists: str | None = None
    """Hash of the file of the lists; None if there are none."""

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.count * (8 + 4 * self.stamp.dim)


class IndexFile:
    """The index of a data folder. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._vectors, self._lists, self._manifest = folder / "vectors", folder / "lists", folder / "manifest.json"
        self._unfinished, self._unfinished_lists = folder / "vectors.tmp", folder / "lists.tmp"
        self.put_aside = folder.with_name("index.quarantined")
        """Where an index goes that does not fit."""

    def load(self, stamp: Stamp | None = None) -> tuple[Manifest, Index] | None:
        """What is there; None if there is nothing. Raises IndexUnfit with the reason.

        With a stamp, an index that was made from anything else is unfit.
        """
        try:
            manifest = Manifest.model_validate_json(self._manifest.read_bytes())
        except FileNotFoundError:  # also while one was being written, which a crash may have ended
            return None
        except ValidationError as error:
            raise IndexUnfit(f"the manifest is not one: {error.errors()[0]['msg']}") from None
        except OSError as error:
            raise IndexUnfit(f"it cannot be read: {error.strerror}") from None
        if stamp is not None:
            _compare(manifest.stamp, stamp)
        try:
            index = _read(self._vectors, manifest)
            return manifest, index if manifest.lists is None else index.with_lists(self._read_lists(manifest, index))
        except OSError as error:
            raise IndexUnfit(f"it cannot be read: {error.strerror}") from None

    def _read_lists(self, manifest: Manifest, index: Index) -> Lists:
        data = self._lists.read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest.lists:
            raise IndexUnfit("its lists are damaged")
        head = data.index(b"\n")
        try:
            measures = Measures.model_validate_json(data[:head])
            lists = unpacked(np.frombuffer(data, np.uint8, offset=head + 1), **measures.model_dump())
        except ValueError as error:  # also ValidationError
            raise IndexUnfit(f"its lists are none: {error}") from None
        if lists.ivf.d != index.dim or lists.covered > manifest.count:
            raise IndexUnfit("its lists are of other vectors")
        return lists

    def quarantine(self) -> None:
        """Put what is there aside, in the place of what was put aside before."""
        try:
            if self.put_aside.is_dir():
                shutil.rmtree(self.put_aside)
            self.folder.rename(self.put_aside)
        except OSError as error:
            log.warning("the index that does not fit stays where it is: %s", error)

    def write(self, index: Index, stamp: Stamp, kept: Manifest | None = None) -> Manifest:
        """Write an index beside what is there; its lists alone, if its vectors are those that `kept` speaks of.

        Raises OSError; what is there stays.
        """
        lists = None
        try:
            self.folder.mkdir(exist_ok=True)
            count, sha256 = _write(self._unfinished, _parts(index)) if kept is None else (kept.count, kept.sha256)
            if index.lists is not None:
                head = Measures.of(index.lists).model_dump_json().encode()
                _, lists = _write(self._unfinished_lists, [(1, head), (0, b"\n"), (0, packed(index.lists).data)])
        except BaseException:
            self.discard()
            raise
        return Manifest(stamp=stamp, count=count, sha256=sha256, lists=lists)

    def publish(self, manifest: Manifest, kept: Manifest | None = None) -> None:
        """Make what was written the index, for good. Raises OSError; there is then none."""
        try:
            self._manifest.unlink(missing_ok=True)
            if kept is None:
                self._unfinished.replace(self._vectors)
            if manifest.lists is None:
                self._lists.unlink(missing_ok=True)
            else:
                self._unfinished_lists.replace(self._lists)
            write_atomic(self._manifest, f"{manifest.model_dump_json(indent=2)}\n".encode())
            sync_folder(self.folder.parent)
        except BaseException:
            self.forget()
            raise

    def discard(self) -> None:
        """Remove what was written, and not what is there."""
        _remove(self._unfinished, self._unfinished_lists)

    def forget(self) -> None:
        """Remove the index, before it is out of date: if there is one at a start, it is expected to fit."""
        _remove(self._manifest, self._vectors, self._lists)
        self.discard()


def _remove(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _compare(found: Stamp, wanted: Stamp) -> None:
    if found.model != wanted.model or found.dim != wanted.dim:
        raise IndexUnfit("it was made with another model")
    if found != wanted:
        raise IndexUnfit("it was made from another state of the catalog")


def _parts(index: Index) -> Iterator[Part]:
    """Keys, then vectors: in the order of the keys; or as they lie, if lists know them by their place."""
    if index.lists is None:
        for keys, _ in index.batches(_BATCH):
            yield len(keys), keys.astype("<i8").tobytes()
        for _, vectors in index.batches(_BATCH):
            yield 0, vectors.astype("<f4").tobytes()
        return
    rows, count, valid = index.rows
    yield count, np.where(True if valid is None else valid, rows.keys[:count], _NOBODY).astype("<i8").tobytes()
    for start in range(0, count, _BATCH):
        yield 0, rows.vectors[start : min(start + _BATCH, count)].astype("<f4").tobytes()


def _write(path: Path, parts: Iterable[Part]) -> tuple[int, str]:
    """Write parts one after another, for good: how many rows they have together, and the hash of what they say."""
    digest, total = hashlib.sha256(), 0
    with path.open("wb") as file:
        for count, data in parts:
            total += count
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return total, digest.hexdigest()


def _read(path: Path, manifest: Manifest) -> Index:
    """In memory if it is small. If not, it stays where it is, and is read once to see whether it is sound."""
    dim, count = manifest.stamp.dim, manifest.count
    mapped = manifest.lists is not None or is_large(count)
    with _opened(path, writable=mapped) as file:
        size = os.fstat(file.fileno()).st_size
        if size != manifest.bytes:
            raise IndexUnfit(f"its vectors take {size:,} bytes, and should take {manifest.bytes:,}")
        digest = hashlib.sha256()

        def read(count: int) -> bytes:
            data = file.read(count)
            if len(data) < count:
                raise IndexUnfit("its vectors are cut off")
            digest.update(data)
            return data

        keys = np.frombuffer(read(8 * count), "<i8").astype(np.int64)
        rows = Rows(0 if mapped else count + count // 8, dim)
        for start in range(0, count, _BATCH):
            some = keys[start : start + _BATCH]
            data = read(4 * dim * len(some))
            if not mapped:
                rows.append(some, np.frombuffer(data, "<f4").reshape(-1, dim))
        if digest.hexdigest() != manifest.sha256:
            raise IndexUnfit("its vectors are damaged")
        if mapped:
            rows = MappedRows(file.fileno(), 8 * count, keys, count, dim, writable=file.writable())
    valid = keys != _NOBODY
    return Index.of(rows, count, None if valid.all() else valid)


def _opened(path: Path, *, writable: bool) -> BinaryIO:
    """For writing as well, if that is wanted and allowed."""
    try:
        return path.open("r+b" if writable else "rb")
    except PermissionError:
        return path.open("rb")
