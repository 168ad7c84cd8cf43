"""A file without its metadata: what is wrong there, decoders take for a fault of the picture, and browsers do not."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_SCAN = 0xDA
_EXIF, _ADOBE = 0xE1, 0xEE  # the first says which way is up, the second what the samples mean (ISO/IEC 10918-6)
_ADOBE_LENGTH = 12


def without_metadata(data: bytes) -> Iterator[bytes]:
    """The same picture with EXIF alone, then without any metadata, where that is another file: PNG or JPEG.

    Samples, and what they mean, stay as they are, byte for byte.
    """
    parts = _png if data.startswith(_PNG) else _jpeg if data.startswith(_JPEG) else None
    if parts is not None:
        tried = data
        for exif in (True, False):
            less = b"".join(parts(data, exif))
            if less != tried:
                yield less
                tried = less


def _png(data: bytes, exif: bool) -> Iterator[bytes]:
    """Chunks that are critical, which a capital says (PNG, 5.4), and transparency."""
    yield _PNG
    place = len(_PNG)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        chunk = data[place : place + 12 + length]
        if not name[0] & 0x20 or name == b"tRNS" or (exif and name == b"eXIf"):
            yield chunk
        place += len(chunk)
    yield data[place:]


def _jpeg(data: bytes, exif: bool) -> Iterator[bytes]:
    """Segments before the first scan but for those of applications and comments; then everything."""
    yield _JPEG
    place = len(_JPEG)
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != _SCAN:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        segment = data[place : place + 2 + max(length, 2)]
        of_application = 0xE0 <= marker <= 0xEF or marker == 0xFE
        meant = marker == _ADOBE and length >= _ADOBE_LENGTH + 2 and segment[4:9] == b"Adobe"
        if not of_application or meant or (exif and marker == _EXIF and segment[4:10] == b"Exif\0\0"):
            yield segment
        place += len(segment)
    yield data[place:]
