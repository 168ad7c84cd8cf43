"""A picture has the colours that its profile means, and a bad profile never loses it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from model.picture import decode
from tests.model.profiles import as_srgb, wide_gamut

COLOURS = np.array(
    [[(r, g, b) for g in (0, 90, 180, 255)] for r in (0, 90, 180, 255) for b in (0, 128, 255)], dtype=np.uint8
)  # (12, 4, 3)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_colours_of_a_wide_screen_become_those_of_srgb(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(saved(Image.fromarray(COLOURS), kind, icc_profile=wide_gamut(), **options))
    off = np.abs(np.asarray(picture.image).astype(int) - as_srgb(COLOURS).astype(int))
    assert off.max() <= 3
    assert np.abs(as_srgb(COLOURS).astype(int) - COLOURS).max() > 30  # it makes a difference


def test_transparency_stays_beside_the_colours() -> None:
    pixels = np.dstack([COLOURS, np.arange(48, dtype=np.uint8).reshape(12, 4) * 5])
    drawn = decode(saved(Image.fromarray(pixels), icc_profile=wide_gamut())).drawn
    assert drawn.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(drawn)[..., 3], pixels[..., 3])
    assert np.abs(np.asarray(drawn)[..., :3].astype(int) - as_srgb(COLOURS)).max() <= 3


def test_a_palette_has_a_profile_too() -> None:
    flat = Image.fromarray(COLOURS).quantize(64)
    said = np.asarray(flat.convert("RGB"))
    picture = decode(saved(flat, icc_profile=wide_gamut()))
    assert np.abs(np.asarray(picture.image).astype(int) - as_srgb(said)).max() <= 3


def test_a_colour_declared_transparent_stays_so() -> None:
    picture = decode(
        saved(Image.fromarray(COLOURS), transparency=tuple(COLOURS[0, 1].tolist()), icc_profile=wide_gamut())
    )
    assert picture.drawn.getpixel((1, 0))[3] == 0
    assert picture.image.getpixel((1, 0)) == (255, 255, 255)


def test_srgb_by_name_is_left_as_it_is() -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (own, wide_gamut("sRGB IEC61966-2.1")):
        picture = decode(saved(Image.fromarray(COLOURS), icc_profile=profile))
        np.testing.assert_array_equal(np.asarray(picture.image), COLOURS)


@pytest.mark.parametrize("mode", ["L", "I;16", "CMYK", "1", "LA"])
def test_a_profile_of_another_space_is_left_out(mode: str) -> None:
    grey = Image.new("L", (4, 3), 100)
    image = grey.convert(mode) if mode != "I;16" else Image.fromarray(np.full((3, 4), 100 * 257, np.uint16))
    kind = "JPEG" if mode == "CMYK" else "PNG"
    with_profile, without = (decode(saved(image, kind, icc_profile=profile)) for profile in (wide_gamut(), None))
    np.testing.assert_array_equal(np.asarray(with_profile.image), np.asarray(without.image))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_broken_profile_never_loses_the_picture(data: st.DataObject) -> None:
    profile = bytearray(wide_gamut())
    for _ in range(data.draw(st.integers(1, 10))):
        profile[data.draw(st.integers(0, len(profile) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(profile)[: data.draw(st.integers(0, len(profile)))]
    picture = decode(saved(Image.fromarray(COLOURS), icc_profile=cut))
    assert (picture.width, picture.height, picture.image.mode) == (4, 12, "RGB")
