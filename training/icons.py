"""The icon data set: permissively licensed icon sets, whose names are their captions.

Emoji alone name two thousand things; icon sets draw many thousand more, in lines and solids, and teach what words mean
and that a manner of drawing is not part of it. Each set is one npm package `@iconify-json/SET`.

Sets and icons that draw emoji, logos, flags or files are left out, and so is every icon whose name is the label of a
held-out concept of the pictogram set: such a concept stays unseen in every style.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.drawings import Concept, Drawing, check_licence, squeeze, svg_document
from training.pictogram import read_concepts

LICENCES = {
    "game-icons": "CC-BY-3.0",
    "healthicons": "MIT",
    "mdi": "Apache-2.0",
    "tabler": "MIT",
    "mingcute": "Apache-2.0",
    "hugeicons": "MIT",
    "fa7-solid": "CC-BY-4.0",
    "icon-park": "Apache-2.0",
    "icon-park-twotone": "Apache-2.0",
    "solar": "CC-BY-4.0",
    "material-symbols": "Apache-2.0",
    "pinhead": "CC0-1.0",
    "temaki": "CC0-1.0",
    "maki": "CC0-1.0",
    "carbon": "Apache-2.0",
    "iconoir": "MIT",
    "ri": "Apache-2.0",
    "bi": "MIT",
    "meteocons": "MIT",
    "fluent-color": "MIT",
    "marketeq": "MIT",
    "streamline-ultimate-color": "CC-BY-4.0",
    "streamline-plump-color": "CC-BY-4.0",
    "streamline-sharp-color": "CC-BY-4.0",
    "streamline-freehand-color": "CC-BY-4.0",
    "streamline-kameleon-color": "CC-BY-4.0",
    "streamline-stickies-color": "CC-BY-4.0",
}
"""Set → SPDX licence of its drawings; a package that states another one is refused."""

_STYLE_WORDS = frozenset(
    {"outline", "outlined", "line", "linear", "fill", "filled", "solid", "bold", "light", "thin", "regular", "duotone"}
    | {"twotone", "round", "rounded", "sharp", "broken", "negative", "color", "flat", "alt", "variant", "px"}
    | {"one", "two", "three", "e", "f", "s"}
)
_LOGO = re.compile(r"\b(brand|logo)\b")
_PER_NAME = 2
"""Drawings of one name in one set: its outline and its solid, not every weight between."""


def clean_name(icon: str) -> str:
    """`umbrella-2-filled` → `umbrella`: what the icon shows, without numbers and words for its style."""
    words = [word for word in icon.split("-") if not re.fullmatch(r"\d+(px)?", word)]
    kept = [word for word in words if word not in _STYLE_WORDS]
    return " ".join(kept or words)


def read_icons(packages: Path) -> Iterator[Drawing]:
    """Every icon of every set, two at most of one name in one set; a name that is an emoji's label is that concept."""
    concepts = {squeeze(concept.label): concept for concept in read_concepts(packages).values()}
    for style, licence in LICENCES.items():
        folder = packages / "@iconify-json" / style
        check_licence(folder, licence)
        collection = json.loads((folder / "icons.json").read_text("utf-8"))
        taken: Counter[str] = Counter()
        for icon, data in sorted(collection["icons"].items()):
            name = clean_name(icon)
            concept = concepts.get(squeeze(name))
            if data.get("hidden") or len(name) < 3 or _LOGO.search(name) or (concept and concept.held_out):
                continue
            taken[name] += 1
            if taken[name] > _PER_NAME:
                continue
            hexcode = concept.hexcode if concept else f"name:{squeeze(name)}"
            yield Drawing(
                concept=Concept(hexcode=hexcode, label=name, tags=(), group="icons"),
                style=style,
                name=icon,
                licence=licence,
                svg=svg_document(collection, icon),
            )
