"""Colour profiles, made here, since none may be copied: three primaries and a gamma (ICC.1:2001-04)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""XYZ, relative to D50, of full red, green and blue on the screens of today's phones (SMPTE EG 432-1)."""
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
"""The same of sRGB (IEC 61966-2-1)."""
GAMMA = 2.2


def wide_gamut(description: str = "wide") -> bytes:
    """A profile of a screen with the primaries of Display P3."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)

    said = description.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(said)) + said + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        **{
            name: b"XYZ " + bytes(4) + fixed(*xyz)
            for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), DISPLAY_P3, strict=True)
        },
        **{
            name: b"curv" + bytes(4) + struct.pack(">IH", 1, round(GAMMA * 256)) for name in (b"rTRC", b"gTRC", b"bTRC")
        },
    }
    table, content, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", offset + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    size = 128 + len(table) + len(content)
    head = struct.pack(">I4s4s4s4s4s12s4s", size, b"", b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    head += bytes(28) + fixed(0.9642, 1.0, 0.8249) + bytes(48)
    return head + table + content


def as_srgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What samples (…, 3) with that profile are in sRGB, by its definition: the slow twin."""
    light = (pixels / 255.0) ** GAMMA @ np.array(DISPLAY_P3) @ np.linalg.inv(np.array(SRGB))
    light = light.clip(0, 1)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)
