"""WebDataset shards in the layout of img2dataset: tar files; members `KEY.png`, `KEY.txt`, `KEY.json` are one sample.

https://github.com/rom1504/img2dataset#output-format
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from model.durable import sync_folder
from model.errors import ShardError

PICTURE_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "avif"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with its words."""

    key: str
    picture: bytes
    extension: str
    """Of the picture, without the dot."""
    caption: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The whole of `KEY.json`."""


def read_shard(path: Path) -> Iterator[Sample]:
    """Yield the samples of a shard in their order; members without a picture beside them are left out.

    Raises ShardError where the file is not a tar file, is cut off, or holds a caption or metadata that cannot be read.
    """
    try:
        with tarfile.open(path, mode="r:") as tar:
            everything = tar.getmembers()
            if path.stat().st_size <= tar.offset:  # no block of zeros ends it: `tarfile` takes that for whole
                raise ValueError("it is cut off")
            members = ((member, *_split(member.name)) for member in everything if member.isfile())
            for key, group in groupby(members, key=lambda member: member[1]):
                sample = _sample(key, {extension: _content(tar, member) for member, _, extension in group})
                if sample is not None:
                    yield sample
    except (OSError, tarfile.TarError, ValueError) as error:
        raise ShardError(f"{path} is not a readable shard: {error}.") from error


def _split(name: str) -> tuple[str, str]:
    """As WebDataset does: the key ends at the first dot of the file name; folders belong to the key."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # it is a file
    return file.read()


def _sample(key: str, parts: Mapping[str, bytes]) -> Sample | None:
    extension = next((extension for extension in parts if extension in PICTURE_EXTENSIONS), None)
    if extension is None:
        return None
    metadata = json.loads(parts.get("json", b"{}"))
    if not isinstance(metadata, dict):
        raise ValueError(f"{key}.json holds no JSON object")
    return Sample(key, parts[extension], extension, parts.get("txt", b"").decode(), metadata)


class ShardWriter:
    """Writes a shard that holds the same bytes whenever it is given the same samples.

    A context manager. The file appears under its name when all of it is on disk; after an error it does not appear.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._unfinished.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)
        return self

    def write(self, sample: Sample) -> None:
        """Append one sample: picture, caption, metadata, in this order."""
        metadata = json.dumps(sample.metadata, ensure_ascii=False, sort_keys=True, allow_nan=False)
        self._add(f"{sample.key}.{sample.extension}", sample.picture)
        self._add(f"{sample.key}.txt", sample.caption.encode())
        self._add(f"{sample.key}.json", metadata.encode())

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)  # mtime 0, uid 0 and mode 0644 are its defaults
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._tar.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._unfinished.replace(self._path)
                sync_folder(self._path.parent)
        finally:
            self._file.close()
            self._unfinished.unlink(missing_ok=True)
