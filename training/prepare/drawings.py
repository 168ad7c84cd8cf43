"""What the drawn data sets share: a concept, a drawing of it, and iconify's format of icon collections."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import resvg_py

from model.errors import ParallaxError


class SourceError(ParallaxError):
    """A source package is not what this code was written for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """What a drawing shows. An emoji's `hexcode` is its code points joined by `-`; other concepts are `name:…`.

    `labels` and `keywords` are the same as `label` and `tags`, the English ones, in other languages.
    """

    hexcode: str
    label: str
    tags: tuple[str, ...]
    group: str
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

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
        metadata: dict[str, Any] = {
            "label": self.concept.label,
            "tags": list(self.concept.tags),
            "group": self.concept.group,
            "source": self.style,
            "license": self.licence,
            "concept": self.concept.hexcode,
        }
        if self.concept.labels:
            metadata["labels"] = dict(self.concept.labels)
            metadata["keywords"] = {language: list(words) for language, words in self.concept.keywords.items()}
        return metadata


def squeeze(name: str) -> str:
    """A name without its separators, for comparing names that sources spell differently."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_collection(packages: Path, prefix: str) -> dict[str, Any]:
    """An icon set of the npm package `@iconify/json` below `packages`, a `node_modules` folder."""
    collection: dict[str, Any] = json.loads((packages / "@iconify/json/json" / f"{prefix}.json").read_text("utf-8"))
    return collection


def licence_of(collection: dict[str, Any]) -> str:
    """The SPDX identifier of a set's licence, or the licence's title where it has none."""
    licence = collection["info"]["license"]
    return str(licence.get("spdx") or licence["title"])


def check_licence(collection: dict[str, Any], licence: str) -> None:
    """SourceError if a set states another licence than the one that was reviewed."""
    if licence_of(collection) != licence:
        name = collection["prefix"]
        raise SourceError(f"{name} is now licensed {licence_of(collection)}, not {licence}: review it before using it")


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


def render(svg: str, size: int) -> bytes:
    """SVG document → PNG with transparency, scaled to fit a square of `size` pixels."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, dpi=96))
