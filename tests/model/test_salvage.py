"""What is wrong with a file's metadata never loses its picture."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.errors import PictureError
from model.picture import decode
from model.salvage import without_metadata
from tests.model.profiles import wide_gamut
from tests.model.test_picture import png_chunk, saved, scene

PNG, JPEG = saved(scene(), "PNG"), saved(scene(), "JPEG", quality=95)
TURNED = Image.Exif()
TURNED[0x0112] = 3
EXIF = TURNED.tobytes()
CHUNKS = {
    b"pHYs": bytes(9),
    b"tEXt": b"a\0b",
    b"zTXt": b"a\0\0stream",
    b"iTXt": b"a\0\1\0\0\0stream",
    b"iCCP": b"p\0\0stream",
    b"eXIf": EXIF[6:],
    b"gAMA": struct.pack(">I", 45_455),
    b"cHRM": bytes(32),
    b"sRGB": b"\0",
    b"acTL": struct.pack(">II", 2, 0),
    b"fcTL": bytes(26),
    b"tIME": bytes(7),
    b"bKGD": bytes(6),
    b"sBIT": b"\x08\x08\x08",
    b"juNk": b"whatever",
}
SEGMENTS = [
    (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
    (0xE1, EXIF),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>"),
    (0xE2, b"ICC_PROFILE\0\1\1" + wide_gamut()),
    (0xE2, b"MPF\0II*\0\x08\0\0\0\3\0\0\xb0\7\0\4\0\0\0000100\1\xb0\4\0\1\0\0\0\2\0\0\0"),
    (0xED, b"Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0\x10" + bytes(16)),
    (0xFE, b"a comment"),
]


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes of it changed, and perhaps the end left out."""
    data = bytearray(content)
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from([0, 1, 0x7F, 0xFF]) | st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CHUNKS)), st.booleans(), st.data())
def test_a_png_is_read_whatever_its_metadata_are(name: bytes, checked: bool, data: st.DataObject) -> None:
    chunk = png_chunk(name, data.draw(broken(CHUNKS[name])))
    if not checked:
        chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow comments on odd metadata
        picture = decode(PNG[:33] + chunk + PNG[33:])
    assert picture.format == "PNG"
    if name != b"eXIf":
        np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(scene()))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SEGMENTS), st.data())
def test_a_jpeg_is_read_whatever_its_metadata_are(segment: tuple[int, bytes], data: st.DataObject) -> None:
    marker, content = segment[0], data.draw(broken(segment[1]))
    whole = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = decode(JPEG[:2] + whole + JPEG[2:])
    assert picture.format == "JPEG"
    assert {picture.width, picture.height} == {48, 32}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_which_way_is_up_is_known_beside_broken_metadata(kind: str) -> None:
    turned = saved(scene().transpose(Image.Transpose.ROTATE_180), kind, exif=TURNED, quality=95)
    bad = png_chunk(b"pHYs", b"") if kind == "PNG" else b"\xff\xed\0\x18Photoshop 3.0\x008BIM\3\xed\0\0"
    place = 33 if kind == "PNG" else 2
    picture = decode(turned[:place] + bad + turned[place:])
    assert np.abs(np.asarray(picture.image).astype(int) - np.asarray(scene())).mean() < 5


def test_print_colours_keep_their_meaning() -> None:
    """Adobe's segment says that samples are inverted; without it, red would be its opposite."""
    red = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    assert decode(next(iter(without_metadata(red[:2] + b"\xff\xfe\0\3a" + red[2:])))).image.getpixel((4, 4))[0] > 200


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([PNG, JPEG, b"GIF89a"]), st.integers(0, 400), st.binary(max_size=40))
def test_any_bytes_have_a_shorter_form_or_none(whole: bytes, length: int, more: bytes) -> None:
    data = whole[:length] + more
    for less in without_metadata(data):
        assert len(less) < len(data)
        assert less[:2] == data[:2]


def test_a_file_cut_off_does_not_become_whole() -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for whole in (saved(noisy, kind, exif=TURNED) for kind in ("PNG", "JPEG")):
        for percent in range(5, 95, 5):
            with pytest.raises(PictureError):
                decode(whole[: len(whole) * percent // 100])
