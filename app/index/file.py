"""The index on disk: a cache that saves a start the reading of every vector from the catalog.

`index/vectors` holds the keys, then the vectors; `index/manifest.json` says of which model and of which state of the
catalog, and is written last. Whatever does not fit in every respect is put aside, never searched and never repaired:
the catalog has it all.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import IndexUnfit
from app.index.exact import Index
from model.durable import sync_folder, write_atomic

_BATCH = 16_384

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


class Manifest(BaseModel):
    """What is in the file of the vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    stamp: Stamp
    count: int = Field(ge=0)
    sha256: str
    """Of the file."""

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.count * (8 + 4 * self.stamp.dim)


class IndexFile:
    """The index of a data folder. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._vectors, self._manifest = folder / "vectors", folder / "manifest.json"
        self._unfinished = folder / "vectors.tmp"
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
            with self._vectors.open("rb") as file:
                return manifest, _read(file, manifest)
        except OSError as error:
            raise IndexUnfit(f"it cannot be read: {error.strerror}") from None

    def quarantine(self) -> None:
        """Put what is there aside, in the place of what was put aside before."""
        try:
            if self.put_aside.is_dir():
                shutil.rmtree(self.put_aside)
            self._folder.rename(self.put_aside)
        except OSError as error:
            log.warning("the index that does not fit stays where it is: %s", error)

    def write(self, index: Index, stamp: Stamp) -> Manifest:
        """Write the vectors of an index beside what is there. Raises OSError."""
        try:
            self._folder.mkdir(exist_ok=True)
            with self._unfinished.open("wb") as file:
                digest = hashlib.sha256()
                for part, kind in ((0, "<i8"), (1, "<f4")):
                    for batch in index.batches(_BATCH):
                        data = batch[part].astype(kind).tobytes()
                        digest.update(data)
                        file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            self.forget()
            raise
        return Manifest(stamp=stamp, count=len(index), sha256=digest.hexdigest())

    def publish(self, manifest: Manifest) -> None:
        """Make what was written the index, for good. Raises OSError; there is then none."""
        try:
            self._manifest.unlink(missing_ok=True)
            self._unfinished.replace(self._vectors)
            write_atomic(self._manifest, f"{manifest.model_dump_json(indent=2)}\n".encode())
            sync_folder(self._folder.parent)
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Remove the index, before it is out of date: if there is one at a start, it is expected to fit."""
        for path in (self._manifest, self._vectors, self._unfinished):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _compare(found: Stamp, wanted: Stamp) -> None:
    if found.model != wanted.model or found.dim != wanted.dim:
        raise IndexUnfit("it was made with another model")
    if found != wanted:
        raise IndexUnfit("it was made from another state of the catalog")


def _read(file: BinaryIO, manifest: Manifest) -> Index:
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

    keys = np.frombuffer(read(8 * manifest.count), "<i8")
    dim = manifest.stamp.dim
    index = Index(dim, expected=manifest.count)
    for start in range(0, manifest.count, _BATCH):
        some = keys[start : start + _BATCH]
        vectors = np.frombuffer(read(4 * dim * len(some)), "<f4").reshape(-1, dim)
        index = index.changed((), some.tolist(), vectors)
    if digest.hexdigest() != manifest.sha256:
        raise IndexUnfit("its vectors are damaged")
    return index
