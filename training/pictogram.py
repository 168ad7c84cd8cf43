"""The pictogram data set: emoji concepts, drawn by eight sources, with names and keywords.

Drawings come from the `@iconify-json/*` npm packages (SVG bodies in `icons.json`, code point → name in `chars.json`
where the source has code points), labels and keywords from `emojibase-data`. A *concept* is one emoji without its
skin tones; a *style* is the source that drew it.

Two things are held out, by rule and not by chance, so that every build of the data set agrees:

* styles under a share-alike licence are never trained on: `openmoji` is the unseen-style test, `emojione-v1` the
  validation style;
* one concept in ten, chosen by a hash of its code points, is never trained on in any style.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from training.drawings import Concept, Drawing, check_licence, squeeze, svg_document

LICENCES = {
    "noto": "Apache-2.0",
    "noto-v1": "Apache-2.0",
    "twemoji": "CC-BY-4.0",
    "fluent-emoji-flat": "MIT",
    "emojione": "CC-BY-4.0",
    "fxemoji": "Apache-2.0",
    "emojione-v1": "CC-BY-SA-4.0",
    "openmoji": "CC-BY-SA-4.0",
}
"""Style → SPDX licence of its drawings; a package that states another one is refused."""

UNSEEN_STYLE = "openmoji"
VALIDATION_STYLE = "emojione-v1"
SPLITS = ("train", "validation", "unseen-style", "unseen-concepts", "unseen-both")

_VARIATION_SELECTOR = "FE0F"


def split_of(drawing: Drawing) -> str:
    """The one of `SPLITS` that a drawing belongs to."""
    if drawing.style == UNSEEN_STYLE:
        return "unseen-both" if drawing.concept.held_out else "unseen-style"
    if drawing.concept.held_out:
        return "unseen-concepts"
    return "validation" if drawing.style == VALIDATION_STYLE else "train"


def read_concepts(packages: Path, language: str = "en") -> dict[str, Concept]:
    """Concepts by hexcode, in Unicode's order, from `emojibase-data` below `packages` (a `node_modules` folder)."""
    folder = packages / "emojibase-data"
    groups: dict[str, str] = json.loads((folder / "meta/groups.json").read_text("utf-8"))["groups"]
    entries = json.loads((folder / language / "data.json").read_text("utf-8"))
    concepts = {}
    for entry in sorted(entries, key=lambda e: (e.get("order", 1 << 30), e["hexcode"])):
        group = groups[str(entry["group"])] if "group" in entry else "component"
        hexcode = _canonical(entry["hexcode"])
        concepts[hexcode] = Concept(
            hexcode=hexcode, label=entry["label"], tags=tuple(entry.get("tags", ())), group=group
        )
    return concepts


def read_drawings(packages: Path) -> Iterator[Drawing]:
    """Every drawing of every concept, style by style in the order of `LICENCES`, concepts in Unicode's order."""
    concepts = read_concepts(packages)
    names = _names_of_concepts(packages, concepts)
    for style, licence in LICENCES.items():
        folder = packages / "@iconify-json" / style
        check_licence(folder, licence)
        collection = json.loads((folder / "icons.json").read_text("utf-8"))
        chars = json.loads((folder / "chars.json").read_text("utf-8"))
        found: dict[str, str] = {}
        for char, name in chars.items():
            found.setdefault(_canonical(char), name)
        for name in (*collection["icons"], *collection.get("aliases", {})):
            hexcode = names.get(squeeze(name))
            if hexcode is not None:
                found.setdefault(hexcode, name)
        for concept in concepts.values():
            icon = found.get(concept.hexcode)
            if icon is not None:
                yield Drawing(
                    concept=concept, style=style, name=icon, licence=licence, svg=svg_document(collection, icon)
                )


def _names_of_concepts(packages: Path, concepts: dict[str, Concept]) -> dict[str, str]:
    """Squeezed icon name → hexcode, from the styles that state code points and from the labels themselves.

    Half of the styles state none (their `chars.json` is empty) and name icons after Unicode's labels, some without
    separators; the others leave out a few.
    """
    names = {squeeze(concept.label): hexcode for hexcode, concept in concepts.items()}
    for style in ("noto", "twemoji", "openmoji", "fluent-emoji-flat"):
        folder = packages / "@iconify-json" / style
        for char, name in json.loads((folder / "chars.json").read_text("utf-8")).items():
            hexcode = _canonical(char)
            if hexcode in concepts:
                names.setdefault(squeeze(name), hexcode)
        aliases = json.loads((folder / "icons.json").read_text("utf-8")).get("aliases", {})
        for alias, target in aliases.items():
            # A mirrored or turned alias is another drawing, not another name.
            parent = names.get(squeeze(target["parent"])) if set(target) == {"parent"} else None
            if parent is not None:
                names.setdefault(squeeze(alias), parent)
    return names


def _canonical(hexcode: str) -> str:
    """Code points in upper case without variation selectors, which sources write or leave out as they like."""
    return "-".join(part for part in hexcode.upper().split("-") if part != _VARIATION_SELECTOR)
