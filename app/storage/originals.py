"""The pictures' bytes on disk, named by their SHA-256, with a thumbnail of each beside them.

Originals are on disk before they are named; thumbnails can be made again and are written without waiting for the disk.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.storage.disk import file_errors
from app.storage.folder import Layout
from model.durable import sync_folder, write_synced
from model.picture import Picture

THUMBNAIL_SIDE = 256
_SHA256 = re.compile("[0-9a-f]{64}")

log = logging.getLogger("parallax")


@dataclass(frozen=True, slots=True)
class Staged:
    """An original that is on disk, but not under its name yet."""

    sha256: str
    path: Path


class Originals:
    """Content-addressed files in a data folder. Raises StorageFull or StorageFault if the disk does not do its part."""

    def __init__(self, folder: Layout) -> None:
        self._originals, self._thumbnails = folder.originals, folder.thumbnails
        self._staging = folder.originals / "staging"

    def prepare(self) -> None:
        """Make the folder if need be, and remove what a crash left staged. Before anything is written."""
        with file_errors():
            self._staging.mkdir(parents=True, exist_ok=True)
            sync_folder(self._originals.parent)
            sync_folder(self._originals)
            left = [path for path in self._staging.iterdir() if not _SHA256.fullmatch(path.name)]
        for path in left:
            _unlink(path)

    def path(self, sha256: str) -> Path:
        return self._originals / sha256[:2] / sha256

    def _thumbnail_path(self, sha256: str) -> Path:
        return self._thumbnails / sha256[:2] / f"{sha256}.webp"

    # Originals: staged, published, settled

    def stage(self, sha256: str, data: bytes) -> Staged:
        """Write the bytes and wait for the disk. Any thread may do so at any time."""
        staged = Staged(sha256, self._staging / secrets.token_hex(16))
        with file_errors():
            try:
                write_synced(staged.path, data)
            except BaseException:
                staged.path.unlink(missing_ok=True)
                raise
        return staged

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove what was staged and not published."""
        for original in staged:
            _unlink(original.path)

    def publish(self, staged: Iterable[Staged]) -> None:
        """Give staged originals their names. Until they are settled, it is in doubt whether they have a record."""
        folders = set()
        with file_errors():
            for original in staged:
                self.doubt([original.sha256])
                path = self.path(original.sha256)
                if not path.parent.exists():
                    self._make(path.parent)
                original.path.replace(path)
                folders.add(path.parent)
            for folder in folders:
                sync_folder(folder)

    def _make(self, folder: Path) -> None:
        """Make a folder whose name is on disk when this returns: whoever finds it there relies on that."""
        folder.mkdir()
        try:
            sync_folder(self._originals)
        except BaseException:
            folder.rmdir()
            raise

    def doubt(self, hashes: Iterable[str]) -> None:
        """Mark originals that are about to lose their last record, or that may have none."""
        with file_errors():
            for sha256 in hashes:
                self._mark(sha256).touch()

    def settle(self, hashes: Iterable[str]) -> None:
        """These originals have their records, or are gone."""
        for sha256 in hashes:
            _unlink(self._mark(sha256))

    def _mark(self, sha256: str) -> Path:
        return self._staging / sha256

    def unsettled(self) -> list[str]:
        """Hashes of originals that a crash left in doubt."""
        with file_errors():
            return [path.name for path in _entries(self._staging) if _SHA256.fullmatch(path.name)]

    def remove(self, sha256: str) -> bool:
        """False if the file is still there, because the disk refuses; the log says why."""
        self.remove_thumbnail(sha256)
        return _unlink(self.path(sha256))

    def read(self, sha256: str) -> bytes | None:
        """The bytes, or None if they are missing or are no longer those that the name stands for."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("an original cannot be read: %s", error)
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def hashes(self) -> Iterator[str]:
        """Of every original there is, in order."""
        with file_errors():
            for folder in sorted(_entries(self._originals)):
                if len(folder.name) == 2:
                    yield from sorted(path.name for path in _entries(folder) if _SHA256.fullmatch(path.name))

    # Thumbnails: what fails is left out

    def write_thumbnail(self, sha256: str, thumbnail: bytes) -> None:
        path = self._thumbnail_path(sha256)
        unfinished = self._staging / secrets.token_hex(16)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(thumbnail)
            unfinished.replace(path)
        except OSError as error:
            log.warning("a thumbnail was not kept: %s", error)
            _unlink(unfinished)

    def remove_thumbnail(self, sha256: str) -> None:
        _unlink(self._thumbnail_path(sha256))

    def read_thumbnail(self, sha256: str) -> bytes | None:
        """None if it is missing, or was cut off by a power loss: a WebP file begins with its own length."""
        try:
            webp = self._thumbnail_path(sha256).read_bytes()
        except OSError:
            return None
        return webp if int.from_bytes(webp[4:8], "little") + 8 == len(webp) else None


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _unlink(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.error("a file was not removed: %s", error)
        return False
    return True


def thumbnail(picture: Picture) -> bytes:
    """A picture as a WebP that fits into a square of 256 pixels; smaller ones keep their size."""
    drawn = picture.drawn
    scale = THUMBNAIL_SIDE / max(picture.width, picture.height)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # Lanczos takes more than twice the time, and nobody sees the difference at this size.
        drawn = drawn.resize(size, Image.Resampling.HAMMING, picture.box, reducing_gap=3.0)
    webp = io.BytesIO()
    drawn.save(webp, "WEBP", quality=82, method=2)  # method 4 takes twice the time for a sixth less
    return webp.getvalue()
