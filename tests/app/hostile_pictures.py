"""Picture files that are hard to read: bombs, odd formats, broken metadata."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.picture import CONTENT_TYPES
from tests.model.profiles import as_srgb, wide_gamut
from tests.model.test_picture import png_chunk

EXACT: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 95, "subsampling": 0},
}
"""Formats that carry EXIF and profiles, and how they keep `scene` as it is, or almost."""


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(side: int = 64) -> Image.Image:
    """Squares of 8 pixels, each of one colour: turned, it is another picture, and JPEG keeps it as it is."""
    colours = np.random.default_rng(1).integers(30, 226, (side // 8, side // 8, 3), dtype=np.uint8)
    return Image.fromarray(colours.repeat(8, axis=0).repeat(8, axis=1))


def noisy() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


WHOLE = {kind: saved(noisy(), kind) for kind in CONTENT_TYPES}


def png(width: int, height: int, depth: int, colour: int, samples: bytes, *others: bytes) -> bytes:
    """A PNG as its header says, whatever its samples are; `others` are chunks before them."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    content = png_chunk(b"IDAT", zlib.compress(samples, 9))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(others) + content + png_chunk(b"IEND", b"")


def deep_colour(pixels: NDArray[np.uint8]) -> bytes:
    """An RGB PNG of 16 bits a sample, which Pillow cannot write."""
    rows = (pixels.astype(np.uint16) * 257).astype(">u2")
    samples = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(pixels.shape[1], pixels.shape[0], 16, 2, samples)


def bombs(max_pixels: int) -> dict[str, bytes]:
    """Small files that claim or unpack to a great deal."""
    huge = b"\0" * 50_000_000
    small = bytes.fromhex("ff0000") * 64
    gif = bytearray(saved(Image.new("P", (8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_535, 65_535)
    bmp = bytearray(saved(Image.new("RGB", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    jpeg = bytearray(saved(Image.new("RGB", (8, 8)), "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 65_535, 65_535)
    webp = bytearray(saved(Image.new("RGBA", (16, 16), (1, 2, 3, 4)), "WEBP", lossless=True, xmp=b"<x/>"))
    webp[24:30] = (16_382).to_bytes(3, "little") * 2
    side = int(max_pixels**0.5)
    frames = [Image.new("P", (side, side), n % 2) for n in range(30)]
    eight = b"".join(b"\0" + small[:24] for _ in range(8))
    text = png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(huge, 9))
    profile = png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(huge, 9))
    return {
        "a PNG of 30,000 × 30,000": png(30_000, 30_000, 1, 0, b"\0"),
        "a PNG that unpacks to more than its size": png(8, 8, 8, 2, huge),
        "a PNG of a black square that is just allowed": png(side, side, 1, 0, (b"\0" + bytes((side + 7) // 8)) * side),
        "a PNG with a text of 50 MB": png(8, 8, 8, 2, eight, text),
        "a PNG with a profile of 50 MB": png(8, 8, 8, 2, eight, profile),
        "a PNG of 500,000 chunks": png(8, 8, 8, 2, eight, png_chunk(b"pHYs", b""), png_chunk(b"juNk", b"") * 500_000),
        "a PNG of one line": png(200_000, 1, 8, 0, bytes(200_001)),
        "a GIF that claims 65,535 × 65,535": bytes(gif),
        "a GIF of large frames": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "a BMP that claims 60,000 × 60,000": bytes(bmp),
        "a JPEG that claims 65,535 × 65,535": bytes(jpeg),
        "a WebP that claims 16,383 × 16,383": bytes(webp),
    }


def as_seen() -> dict[str, tuple[bytes, Image.Image, float]]:
    """File, the plain picture that a person sees when they open it, and how far its vector may be off."""
    plain = scene()
    pixels = np.asarray(plain)
    grey = plain.convert("L")
    frames = [plain, *(Image.new("RGB", plain.size, (n * 40, 0, 0)) for n in range(1, 4))]
    clear = plain.convert("RGBA")
    clear.putalpha(Image.fromarray(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None, :].repeat(64, axis=0)))
    over_white = Image.new("RGB", plain.size, (255, 255, 255))
    over_white.paste(plain, (0, 0), clear.getchannel("A"))
    palette = plain.quantize(64)
    seen = palette.convert("RGB")
    half = bytes(0 if n % 2 else 255 for n in range(64))
    seen_half = Image.new("RGBA", plain.size, (255, 255, 255, 255))
    of_palette = palette.copy()
    of_palette.info["transparency"] = half
    seen_half.alpha_composite(of_palette.convert("RGBA"))
    ticks = [Image.new("L", (64, 64), n % 256) for n in range(1, 1000)]
    return {
        "a JPEG in CMYK": (saved(plain.convert("CMYK"), "JPEG", quality=100, subsampling=0), plain, 1e-3),
        "a grey PNG of 16 bits": (saved(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)), grey, 1e-6),
        "a PNG of 16 bits in colour": (deep_colour(pixels), plain, 1e-6),
        "a PNG with transparency": (saved(clear), over_white, 1e-6),
        "a palette": (saved(palette), seen, 1e-6),
        "a palette with transparent colours": (saved(palette, transparency=half), seen_half.convert("RGB"), 1e-6),
        "a GIF of 1,000 frames": (saved(grey, "GIF", save_all=True, append_images=ticks), grey, 1e-6),
        "an animated WebP": (
            saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
            plain,
            1e-6,
        ),
        "an animated PNG": (saved(frames[0], "PNG", save_all=True, append_images=frames[1:]), plain, 1e-6),
        "the colours of a wide screen": (
            saved(plain, icc_profile=wide_gamut()),
            Image.fromarray(as_srgb(pixels)),
            1e-3,
        ),
    }


def other_formats() -> dict[str, bytes]:
    """What is no picture here, whatever its name says."""
    plain = scene()
    return {
        "EPS": saved(plain, "EPS"),
        "EPS that runs a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n",
        "TIFF": saved(plain, "TIFF"),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "SVG with a prolog": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "&a;&a;">]><svg/>',
        "ICO": saved(plain, "ICO"),
        "PPM": saved(plain, "PPM"),
        "PDF": saved(plain, "PDF"),
        "a script": b"#!/bin/sh\nexit 1\n",
        "a page": b"<!doctype html><script>alert(1)</script>",
    }


def broken_metadata() -> dict[str, tuple[bytes, bytes]]:
    """Files of `scene` with metadata that cannot be read, or should not be believed, and the same without."""
    plain = scene()
    exif = {
        "garbage": b"Exif\0\0garbage",
        "a place beyond the end": b"Exif\0\0II*\0\xff\xff\xff\xff",
        "itself as its next part": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "an orientation of 99": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
        "an orientation that is a text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",
        "65,535 entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(40),
    }
    profiles = {
        "garbage": b"no profile",
        "a head alone": wide_gamut()[:128],
        "a cut": wide_gamut()[:300],
        "nothing": b"",
    }
    clean = {kind: saved(plain, kind, **options) for kind, options in EXACT.items()}
    files: dict[str, tuple[bytes, bytes]] = {}
    for kind, options in EXACT.items():
        for name, data in exif.items():
            files[f"{kind}, EXIF: {name}"] = saved(plain, kind, exif=data, **options), clean[kind]
        for name, data in profiles.items():
            files[f"{kind}, profile: {name}"] = saved(plain, kind, icc_profile=data, **options), clean[kind]
    head, rest = clean["PNG"][:33], clean["PNG"][33:]  # signature and IHDR
    for name, chunk in {
        "a text that does not unpack": png_chunk(b"zTXt", b"comment\0\0no stream"),
        "a profile that does not unpack": png_chunk(b"iCCP", b"profile\0\0no stream"),
        "a resolution of nothing": png_chunk(b"pHYs", b""),
        "a text of no language": png_chunk(b"iTXt", b"\0\1\7\0\0\xff"),
        "EXIF of nothing": png_chunk(b"eXIf", b""),
    }.items():
        files[f"PNG, {name}"] = head + chunk + rest, clean["PNG"]
    return files
