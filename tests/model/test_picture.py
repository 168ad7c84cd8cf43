"""Whatever file a user gives, the model must see what the user sees, or the user must be told why not."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from model.errors import BrokenPicture, EmptyPicture, PictureError, TooManyPixels, UnsupportedPicture
from model.picture import CONTENT_TYPES, decode, to_rgb

ORIENTATION = 0x0112
WHITE = (255, 255, 255)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """A picture that looks different in each of the eight orientations."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 5, y * 7, (x + y) * 3], axis=-1).astype(np.uint8))


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int, depth: int = 1, colour: int = 0) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(b"\0")) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", CONTENT_TYPES)
def test_every_format_that_is_promised_is_read(kind: str) -> None:
    picture = decode(saved(scene(), kind))
    assert (picture.format, picture.content_type) == (kind, CONTENT_TYPES[kind])
    assert (picture.width, picture.height) == picture.image.size == (48, 32)
    assert picture.image.mode == "RGB"
    assert np.abs(pixels(picture.image) - pixels(scene())).mean() < 12


def test_avif_is_read_where_pillow_can() -> None:
    assert ("AVIF" in CONTENT_TYPES) == features.check("avif")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_taken_with_a_turned_camera_stands_upright(orientation: int, kind: str) -> None:
    turn_back = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),  # the camera's turn is the inverse of ours
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = decode(saved(turn_back(scene()), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})))
    assert (picture.width, picture.height) == (48, 32)
    np.testing.assert_array_equal(pixels(picture.image), pixels(scene()))


def test_a_turned_jpeg_stands_upright_and_is_not_turned_twice() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = decode(saved(scene().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95))
    assert np.abs(pixels(picture.image) - pixels(scene())).mean() < 5
    assert picture.image.getexif().get(ORIENTATION) is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's word on it
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\xff" * 40])
def test_broken_metadata_does_not_lose_the_picture(exif: bytes) -> None:
    assert decode(saved(scene(), "JPEG", exif=exif)).width == 48


def test_a_phone_s_jpeg_of_several_pictures_is_a_jpeg() -> None:
    picture = decode(saved(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]))
    assert (picture.format, picture.content_type, picture.width) == ("JPEG", "image/jpeg", 48)


def test_transparent_parts_are_white_for_the_model_and_stay_transparent_for_the_page() -> None:
    drawing = Image.new("RGBA", (4, 2), (200, 0, 0, 255))
    drawing.putpixel((0, 0), (0, 0, 0, 0))
    drawing.putpixel((1, 0), (0, 0, 0, 128))
    picture = decode(saved(drawing, "PNG"))
    assert [picture.image.getpixel((x, 0)) for x in range(3)] == [WHITE, (127, 127, 127), (200, 0, 0)]
    assert picture.drawn.mode == "RGBA"
    assert picture.drawn.getpixel((0, 0)) == (0, 0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_colour_declared_transparent_is_white(mode: str) -> None:
    flat = Image.new("RGB", (4, 4)).convert(mode)
    clear = (0, 0, 0) if mode == "RGB" else flat.getpixel((0, 0))
    assert decode(saved(flat, "PNG", transparency=clear)).image.getpixel((0, 0)) == WHITE


def test_a_palette_with_half_transparent_colours_is_laid_over_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    picture = decode(saved(palette, "PNG", transparency=bytes([128, 255])))
    assert [picture.image.getpixel((x, 0)) for x in range(2)] == [(127, 127, 127), (0, 0, 255)]


def test_sixteen_bit_pictures_keep_their_brightness() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    picture = decode(saved(Image.fromarray(deep), "PNG"))
    np.testing.assert_array_equal(pixels(picture.image)[..., 0], np.arange(256).reshape(16, 16))


def test_a_transparent_grey_of_sixteen_bits_is_white() -> None:
    deep = np.array([[1000, 1001]], dtype=np.uint16)  # the same grey in 8 bits
    picture = decode(saved(Image.fromarray(deep), "PNG", transparency=1000))
    assert [picture.image.getpixel((x, 0)) for x in range(2)] == [WHITE, (4, 4, 4)]


def test_print_colours_are_read_as_they_look() -> None:
    picture = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = picture.image.getpixel((4, 4))
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    picture = decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=40))
    red, green, blue = picture.image.getpixel((8, 8))
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"])
def test_any_picture_in_memory_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (5, 3))
    before = image.tobytes()
    rgb = to_rgb(image)
    assert (rgb.mode, rgb.size) == ("RGB", (5, 3))
    assert image.tobytes() == before


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(EmptyPicture, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"Dear diary, today I saw a cat.",
        b"%PDF-1.7\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        saved(scene(), "TIFF"),
        saved(scene(), "ICO"),
        saved(scene(), "PPM"),
    ],
    ids=["text", "pdf", "svg", "eps", "tiff", "ico", "ppm"],
)
def test_other_files_are_refused_with_the_formats_that_are_read(data: bytes) -> None:
    with pytest.raises(UnsupportedPicture, match="JPEG, PNG, WebP"):
        decode(data)


@pytest.mark.parametrize("kind", CONTENT_TYPES)
@pytest.mark.parametrize("percent", range(5, 95, 10))
def test_a_file_that_is_cut_off_is_an_error_and_not_half_a_picture(kind: str, percent: int) -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = saved(noisy, kind)
    with pytest.raises((BrokenPicture, UnsupportedPicture)):
        decode(whole[: len(whole) * percent // 100])


def test_a_picture_of_many_pixels_is_refused_by_its_header_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TooManyPixels, match=r"30,000 × 30,000 = 900,000,000 pixels; the limit is 100,000,000"):
            decode(png_header(30_000, 30_000))


def test_a_picture_within_the_limit_of_the_call_is_read_without_a_warning() -> None:
    large = saved(Image.new("1", (10_000, 9_990)), "PNG")  # above the size at which Pillow would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(large).width == 10_000
    with pytest.raises(TooManyPixels):
        decode(large, max_pixels=10_000 * 9_990 - 1)


def test_a_line_too_long_to_be_resampled_is_refused() -> None:
    with pytest.raises(TooManyPixels, match="65,535"):
        decode(png_header(70_000, 1))


def test_a_huge_webp_takes_no_memory_before_it_is_refused() -> None:
    tiny = bytearray(saved(Image.new("RGBA", (16, 16), (1, 2, 3, 4)), "WEBP", lossless=True, xmp=b"<x/>"))
    assert tiny[12:16] == b"VP8X"
    tiny[24:30] = (16_382).to_bytes(3, "little") * 2  # the canvas; one less than its size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PictureError):
        decode(bytes(tiny))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; the canvas would be a million


WHOLE = {kind: saved(scene(), kind) for kind in CONTENT_TYPES}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damaged_bytes_give_a_picture_or_a_clear_error(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings(), contextlib.suppress(PictureError):
        warnings.simplefilter("ignore")  # Pillow comments on odd metadata
        assert decode(bytes(damaged), max_pixels=1_000_000).image.mode == "RGB"
