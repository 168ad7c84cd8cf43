"""The pictures' bytes on disk, named by their SHA-256, with a thumbnail of each beside them.

Originals are on disk before they are named; thumbnails can be made again and are written without waiting for the disk.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.folder import DataFolder
from model.durable import sync_folder, write_synced

THUMBNAIL_SIDE = 256


@dataclass(frozen=True, slots=True)
class Staged:
    """An original that is on disk, but not under its name yet."""

    sha256: str
    path: Path


class Originals:
    """Content-addressed files in a data folder."""

    def __init__(self, folder: DataFolder) -> None:
        self._originals, self._thumbnails = folder.originals, folder.thumbnails
        self._staging = folder.originals / "staging"
        self._staging.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.path)
        for left_by_a_crash in self._staging.iterdir():
            left_by_a_crash.unlink()

    def path(self, sha256: str) -> Path:
        return self._originals / sha256[:2] / sha256

    def _thumbnail_path(self, sha256: str) -> Path:
        return self._thumbnails / sha256[:2] / f"{sha256}.webp"

    def stage(self, sha256: str, data: bytes) -> Staged:
        """Write the bytes and wait for the disk. Any thread may do so at any time."""
        staged = Staged(sha256, self._staging / secrets.token_hex(16))
        write_synced(staged.path, data)
        return staged

    def publish(self, staged: Iterable[Staged]) -> None:
        """Give staged originals their names, for good."""
        folders = set()
        for original in staged:
            path = self.path(original.sha256)
            if not path.parent.exists():
                path.parent.mkdir()
                folders.add(path.parent.parent)
            original.path.replace(path)
            folders.add(path.parent)
        for folder in folders:
            sync_folder(folder)

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove what was staged and not published."""
        for original in staged:
            original.path.unlink(missing_ok=True)

    def write_thumbnail(self, sha256: str, thumbnail: bytes) -> None:
        path = self._thumbnail_path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._staging / secrets.token_hex(16)
        unfinished.write_bytes(thumbnail)
        unfinished.replace(path)

    def read_thumbnail(self, sha256: str) -> bytes | None:
        """None if it is missing, or was cut off by a power loss: a WebP file begins with its own length."""
        try:
            webp = self._thumbnail_path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return webp if int.from_bytes(webp[4:8], "little") + 8 == len(webp) else None

    def remove(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)
        self._thumbnail_path(sha256).unlink(missing_ok=True)


def thumbnail(drawn: Image.Image) -> bytes:
    """A picture (RGB or RGBA) as a WebP that fits into a square of 256 pixels; smaller ones keep their size."""
    scale = THUMBNAIL_SIDE / max(drawn.width, drawn.height)
    if scale < 1:
        size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
        drawn = drawn.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    webp = io.BytesIO()
    drawn.save(webp, "WEBP", quality=82, method=2)  # method 4 takes twice the time for a sixth less
    return webp.getvalue()
