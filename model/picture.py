"""Bytes to an upright picture, as a person sees it. The only place in the house that decodes pictures.

Formats are an allow-list: Pillow reads many more, but some of those run other programs or are rarely tested. The size
is checked on the header, before any pixel is decoded. A file that is cut off is an error, never a picture with a grey
end. Colours are those of the embedded profile, as sRGB; without one, or with one that is broken, samples are sRGB.
Broken metadata never lose the picture.

A model sees some hundred pixels of a side, a camera makes thousands. So a picture can be decoded to fewer: a JPEG by
its decoder, which leaves out the frequencies that are too high, others by the mean of blocks once they are decoded.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from model.colour import in_srgb
from model.errors import BrokenPicture, EmptyPicture, TooManyPixels, UnsupportedPicture
from model.salvage import without_metadata

# Pillow's own limit warns at 89 million pixels and is one number for the whole process; `decode` checks instead.
Image.MAX_IMAGE_PIXELS = None

MAX_SIDE = 65_535
"""The longest side accepted, in pixels: what JPEG can express. Resampling a longer one takes gigabytes of weights."""

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "JPEG": "image/jpeg",
        "PNG": "image/png",
        "WEBP": "image/webp",
        "GIF": "image/gif",
        "BMP": "image/bmp",
        **({"AVIF": "image/avif"} if features.check("avif") else {}),
    }
)
"""Format name → content type, for every format that is read here."""

_READABLE = "JPEG, PNG, WebP, GIF, BMP" + (" and AVIF" if "AVIF" in CONTENT_TYPES else "")

_ORIENTATION = 0x0112  # EXIF 2.3, 4.6.4
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = frozenset({5, 6, 7, 8})
"""Orientations that turn rows into columns."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, upright. Sizes are in pixels, as a person sees it: after rotation by EXIF."""

    image: Image.Image
    """RGB; where the picture is transparent, over white."""
    drawn: Image.Image
    """RGBA where the picture has transparency, otherwise the same object as `image`."""
    format: str
    content_type: str
    width: int
    """Of the file's picture, as `height` is. `image` and `drawn` have as many pixels, or fewer if they are reduced."""
    height: int
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the picture in `image`: all of it, but that a reduction may end within a pixel."""


def decode(data: bytes, *, max_pixels: int = 100_000_000, at_least: int | None = None) -> Picture:
    """Decode one picture; of an animation its first frame.

    With `at_least` it is reduced, by a whole number, so that neither side falls below that many pixels: in a
    fraction of the time and memory if it is a JPEG.

    Raises EmptyPicture, UnsupportedPicture, BrokenPicture or TooManyPixels, each with a sentence for a person.
    """
    if not data:
        raise EmptyPicture("The file is empty.")
    return _read(data, max_pixels, at_least)


def _read(data: bytes, max_pixels: int, at_least: int | None) -> Picture:
    try:
        return _opened(data, max_pixels, at_least)
    except (BrokenPicture, UnsupportedPicture):  # it may be the metadata that are broken
        for less in without_metadata(data):
            with contextlib.suppress(BrokenPicture, UnsupportedPicture):
                return _opened(less, max_pixels, at_least)
        raise


def _opened(data: bytes, max_pixels: int, at_least: int | None) -> Picture:
    try:
        opened = Image.open(io.BytesIO(data), formats=tuple(CONTENT_TYPES))
    except UnidentifiedImageError:
        raise UnsupportedPicture(
            f"This is not a picture, or its first bytes are damaged. {_READABLE} can be read here."
        ) from None
    except Exception as error:  # a parser that is fed anything may raise anything
        raise BrokenPicture(f"The picture is damaged: {_reason(error)}.") from error
    with opened:
        # A JPEG of a phone may hold several pictures; Pillow then calls it MPO. Browsers show the first one, as a JPEG.
        name = "JPEG" if opened.format == "MPO" else str(opened.format)
        _check_size(opened.width, opened.height, max_pixels)
        width, height = opened.size
        try:
            drafted = None if at_least is None else opened.draft(None, (at_least, at_least))
            factor = width / drafted[1][2] if drafted else 1
            opened.load()
            drawn = _flat(in_srgb(opened))
            if at_least is not None and not drafted and min(width, height) >= 2 * at_least:
                factor = min(width, height) // at_least
                drawn = drawn.reduce(factor)
            orientation = _orientation(opened)
            drawn, box = _upright(drawn, orientation), _box(drawn.size, (width / factor, height / factor), orientation)
        except Exception as error:
            raise BrokenPicture(f"The {name} picture is damaged or cut off: {_reason(error)}.") from error
    if orientation in _LYING:
        width, height = height, width
    return Picture(
        image=to_rgb(drawn),
        drawn=drawn,
        format=name,
        content_type=CONTENT_TYPES[name],
        width=width,
        height=height,
        box=box,
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Any picture in memory → RGB. Transparent parts are laid over white, 16-bit samples rescaled to 8 bits.

    Orientation is left alone. Returns `image` itself if it is RGB already.
    """
    flat = _flat(image)
    if flat.mode == "RGB":
        return flat
    white = Image.new("RGBA", flat.size, (255, 255, 255, 255))
    white.alpha_composite(flat)
    return white.convert("RGB")


def _flat(image: Image.Image) -> Image.Image:
    """Any mode → RGBA where there is transparency, otherwise RGB."""
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        drawn = image.convert("RGBA")
        return drawn if drawn.getchannel("A").getextrema() != (255, 255) else drawn.convert("RGB")
    return image if type(image) is Image.Image and image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """16-bit grey → 8 bits by value; Pillow's own conversion clips everything above 255 to white."""
    deep = np.asarray(image).clip(0, 65_535)  # (H, W)
    grey = Image.fromarray(((deep.astype(np.uint32) + 128) // 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is None:
        return grey.convert("RGB")
    drawn = grey.convert("RGBA")
    drawn.putalpha(Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8)))
    return drawn


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    upright = image if turn is None else image.transpose(turn)
    upright.info = {}  # Pillow keeps the EXIF there, and a later reader would turn the picture a second time
    return upright


def _box(size: tuple[int, int], kept: tuple[float, float], orientation: int) -> tuple[float, float, float, float]:
    """Where the `kept` part, right and below of the left upper corner, is once the picture of this size is upright."""
    right, bottom = (side - part for side, part in zip(size, kept, strict=True))
    width, height = kept
    if orientation in _LYING:
        right, bottom, width, height = bottom, right, height, width
    left = right if orientation in (2, 3, 6, 7) else 0.0
    top = bottom if orientation in (3, 4, 7, 8) else 0.0
    return left, top, left + width, top + height


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  broken metadata must not lose the picture
        return 1


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixels(
            f"The picture has {width:,} × {height:,} = {width * height:,} pixels; the limit is {max_pixels:,}."
        )
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(f"The picture is {width:,} × {height:,} pixels; no side may be longer than {MAX_SIDE:,}.")


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
