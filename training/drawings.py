"""What the drawn data sets share: a concept, a drawing of it, and iconify's format of icon collections."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import ParallaxError


class SourceError(ParallaxError):
    """A source package is not what this code was written for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """What a drawing shows. An emoji's `hexcode` is its code points joined by `-`; other concepts are `name:…`."""

    hexcode: str
    label: str
    tags: tuple[str, ...]
    group: str

    @property
    def held_out(self) -> bool:
        """Whether this concept is among the tenth that is never trained on, in any style."""
        digest = hashlib.sha256(f"pictogram:{self.hexcode}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % 10 == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """One concept in one style: `svg` is a complete document."""

    concept: Concept
    style: str
    name: str
    licence: str
    svg: str = field(repr=False)

    @property
    def metadata(self) -> dict[str, Any]:
        """What a gallery shows of the drawing and a test slices by."""
        return {
            "label": self.concept.label,
            "tags": list(self.concept.tags),
            "group": self.concept.group,
            "source": self.style,
            "license": self.licence,
            "concept": self.concept.hexcode,
        }


def squeeze(name: str) -> str:
    """A name without its separators, for comparing names that sources spell differently."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def check_licence(package: Path, licence: str) -> None:
    """SourceError if the package states another licence than the one that was reviewed."""
    stated = json.loads((package / "info.json").read_text("utf-8"))["license"]["spdx"]
    if stated != licence:
        raise SourceError(f"{package.name} is now licensed {stated}, not {licence}: review it before using it")


def svg_document(collection: dict[str, Any], name: str) -> str:
    """The SVG document of one icon of a collection, aliases with their flips and turns applied (iconify's format)."""
    icon, flip_h, flip_v, turns = name, False, False, 0
    while icon not in collection["icons"]:
        alias = collection["aliases"][icon]
        flip_h ^= alias.get("hFlip", False)
        flip_v ^= alias.get("vFlip", False)
        turns += alias.get("rotate", 0)
        icon = alias["parent"]
    data = collection["icons"][icon]
    width = data.get("width", collection.get("width", 16))
    height = data.get("height", collection.get("height", 16))
    left, top = data.get("left", 0), data.get("top", 0)
    body = data["body"]
    if flip_h or flip_v or turns % 4:
        cx, cy = left + width / 2, top + height / 2
        scale = f"scale({-1 if flip_h else 1} {-1 if flip_v else 1})"
        turn = f"rotate({turns % 4 * 90})"
        body = f'<g transform="translate({cx} {cy}) {turn} {scale} translate({-cx} {-cy})">{body}</g>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">{body}</svg>'
    )
