"""The pictogram data set: emoji concepts, drawn by a dozen sources, with names and keywords.

Drawings come from the npm package `@iconify/json` (SVG bodies in `icons`, code point → name in `chars` where the source
has code points) and from a font, labels and keywords in all their languages from `emojibase-data`. A *concept* is one
emoji without its skin tones; a *style* is the source that drew it. Sets of flags, named by country, are styles too.

Two things are held out, by rule and not by chance, so that every build of the data set agrees:

* styles under a share-alike licence are never trained on: `openmoji` is the unseen-style test, `emojione-v1` the
  validation style;
* one concept in ten, chosen by a hash of its code points, is never trained on in any style.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.prepare import glyphs
from training.prepare.drawings import Concept, Drawing, check_licence, read_collection, squeeze, svg_document

LICENCES = {
    "noto": "Apache-2.0",
    "noto-v1": "Apache-2.0",
    "twemoji": "CC-BY-4.0",
    "fluent-emoji-flat": "MIT",
    "emojione": "CC-BY-4.0",
    "fxemoji": "Apache-2.0",
    "fluent-emoji": "MIT",
    "fluent-emoji-high-contrast": "MIT",
    "emojione-monotone": "CC-BY-4.0",
    "streamline-emojis": "CC-BY-4.0",
    "circle-flags": "MIT",
    "flag": "MIT",
    "flagpack": "MIT",
    "emojione-v1": "CC-BY-SA-4.0",
    "openmoji": "CC-BY-SA-4.0",
}
"""Style → SPDX licence of its drawings; a package that states another one is refused. The font has its own."""

ONLY_TRAINED_ON = frozenset(
    {"fluent-emoji", "fluent-emoji-high-contrast", "emojione-monotone", "streamline-emojis"}
    | {"circle-flags", "flag", "flagpack"}
    | {glyphs.STYLE, glyphs.COLOURED}
)
"""Styles without a part in any test: the test sets stay what they were before these joined."""

UNSEEN_STYLE = "openmoji"
VALIDATION_STYLE = "emojione-v1"
SPLITS = ("train", "validation", "unseen-style", "unseen-concepts", "unseen-both")

LANGUAGES = (
    *("bn", "da", "de", "es", "et", "fi", "fr", "hi", "hu", "it", "ja", "ko", "lt", "ms", "nb", "nl", "pl", "pt", "ru"),
    *("sv", "th", "uk", "vi", "zh", "zh-hant"),
)
"""What `emojibase-data` is translated to, regional variants apart."""

_VARIATION_SELECTOR = "FE0F"
_COUNTRY = re.compile(r"([a-z]{2})(-4x3)?")
_REGIONAL_INDICATOR_A = 0x1F1E6


def split_of(drawing: Drawing) -> str | None:
    """The one of `SPLITS` that a drawing belongs to, if any."""
    if drawing.style in ONLY_TRAINED_ON:
        return None if drawing.concept.held_out else "train"
    if drawing.style == UNSEEN_STYLE:
        return "unseen-both" if drawing.concept.held_out else "unseen-style"
    if drawing.concept.held_out:
        return "unseen-concepts"
    return "validation" if drawing.style == VALIDATION_STYLE else "train"


def read_concepts(packages: Path) -> dict[str, Concept]:
    """Concepts by hexcode, in Unicode's order, from `emojibase-data` below `packages` (a `node_modules` folder)."""
    folder = packages / "emojibase-data"
    groups: dict[str, str] = json.loads((folder / "meta/groups.json").read_text("utf-8"))["groups"]
    entries = json.loads((folder / "en/data.json").read_text("utf-8"))
    translated = {language: _by_hexcode(folder / language / "data.json") for language in LANGUAGES}
    concepts = {}
    for entry in sorted(entries, key=lambda e: (e.get("order", 1 << 30), e["hexcode"])):
        own = {
            language: theirs[entry["hexcode"]] for language, theirs in translated.items() if entry["hexcode"] in theirs
        }
        concept = Concept(
            hexcode=_canonical(entry["hexcode"]),
            label=entry["label"],
            tags=tuple(entry.get("tags", ())),
            group=groups[str(entry["group"])] if "group" in entry else "component",
            labels={language: theirs["label"] for language, theirs in own.items()},
            keywords={language: tuple(theirs.get("tags", ())) for language, theirs in own.items()},
        )
        concepts[concept.hexcode] = concept
    return concepts


def _by_hexcode(path: Path) -> dict[str, Any]:
    return {entry["hexcode"]: entry for entry in json.loads(path.read_text("utf-8"))}


def read_drawings(packages: Path) -> Iterator[Drawing]:
    """Every drawing of every concept, style by style in the order of `LICENCES`, concepts in Unicode's order.

    The font's come last.
    """
    concepts = read_concepts(packages)
    names = _names_of_concepts(packages, concepts)
    for style, licence in LICENCES.items():
        collection = read_collection(packages, style)
        check_licence(collection, licence)
        found: dict[str, str] = {}
        for char, name in collection.get("chars", {}).items():
            found.setdefault(_canonical(char), name)
        for name in (*collection["icons"], *collection.get("aliases", {})):
            hexcode = _flag_of(name) if "flag" in style else names.get(squeeze(name))
            if hexcode is not None:
                found.setdefault(hexcode, name)
        for concept in concepts.values():
            icon = found.get(concept.hexcode)
            if icon is not None:
                yield Drawing(
                    concept=concept, style=style, name=icon, licence=licence, svg=svg_document(collection, icon)
                )
    yield from glyphs.read_glyphs(packages, concepts.values())


def _flag_of(name: str) -> str | None:
    """`de` or `de-4x3`, as sets of flags name them → the emoji of that flag, a pair of regional indicators."""
    match = _COUNTRY.fullmatch(name)
    return match and "-".join(f"{_REGIONAL_INDICATOR_A + ord(letter) - ord('a'):X}" for letter in match[1])


def _names_of_concepts(packages: Path, concepts: dict[str, Concept]) -> dict[str, str]:
    """Squeezed icon name → hexcode, from the styles that state code points and from the labels themselves.

    Half of the styles state none (their `chars.json` is empty) and name icons after Unicode's labels, some without
    separators; the others leave out a few.
    """
    names = {squeeze(concept.label): hexcode for hexcode, concept in concepts.items()}
    for style in ("noto", "twemoji", "openmoji", "fluent-emoji-flat"):
        collection = read_collection(packages, style)
        for char, name in collection.get("chars", {}).items():
            hexcode = _canonical(char)
            if hexcode in concepts:
                names.setdefault(squeeze(name), hexcode)
        for alias, target in collection.get("aliases", {}).items():
            # A mirrored or turned alias is another drawing, not another name.
            parent = names.get(squeeze(target["parent"])) if set(target) == {"parent"} else None
            if parent is not None:
                names.setdefault(squeeze(alias), parent)
    return names


def _canonical(hexcode: str) -> str:
    """Code points in upper case without variation selectors, which sources write or leave out as they like."""
    return "-".join(part for part in hexcode.upper().split("-") if part != _VARIATION_SELECTOR)
