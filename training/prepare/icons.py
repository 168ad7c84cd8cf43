"""The icon data set: permissively licensed icon sets, whose names are their captions.

Emoji alone name two thousand things; icon sets draw many thousand more, in lines and solids, and teach what words mean
and that a manner of drawing is not part of it. All come from the npm package `@iconify/json`.

Four sets are held out, to measure on drawings that nobody was trained on: with them go sets that are forks of them or
draw the same pictures in another colour, and every icon elsewhere that is a near copy of one of theirs under the same
name. An icon whose name is the label of a held-out concept of the pictogram set is left out too: such a concept stays
unseen in every style.
"""

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.prepare.drawings import Concept, Drawing, licence_of, read_collection, render, squeeze, svg_document
from training.prepare.pictogram import read_concepts

LICENCES = frozenset(
    {"MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-3.0", "CC0-1.0", "ISC", "OFL-1.1", "BSD-3-Clause", "Unlicense"}
)
"""SPDX identifiers of what may be trained on: neither copyleft nor share-alike nor non-commercial."""

HELD_OUT = {"lucide": "ISC", "streamline-color": "CC-BY-4.0", "flat-color-icons": "MIT", "ph": "MIT"}
"""Set → licence; never trained on."""

_KIN = frozenset({"feather", "lucide-lab", "meteor-icons", "streamline"})
"""Sets that share their drawings with a set held out: what lucide is a fork of, its lab, one that has many of lucide's
under other names, streamline in one colour."""

_OTHER_SUBJECTS = frozenset({"Logos", "Emoji", "Programming"})
_FLAGS = frozenset({"flag", "circle-flags", "flagpack", "cif"})

_STYLE_WORDS = frozenset(
    {"outline", "outlined", "line", "linear", "fill", "filled", "solid", "bold", "light", "thin", "regular", "duotone"}
    | {"twotone", "round", "rounded", "sharp", "broken", "negative", "color", "flat", "alt", "variant", "px"}
    | {"baseline", "two", "tone", "duo", "one", "three", "e", "f", "s"}
)
_LOGO = re.compile(r"\b(brand|logo)s?\b")
_PER_NAME = 2
"""Drawings of one name in one set: its outline and its solid, not every weight between."""

_COPY_SIZE = 24
_COPY_CORRELATION = 0.95


def clean_name(icon: str) -> str:
    """`umbrella-2-filled` → `umbrella`: what the icon shows, without numbers and words for its style."""
    words = [word for word in re.split(r"[-_]", icon) if not re.fullmatch(r"\d+(px)?", word)]
    kept = [word for word in words if word not in _STYLE_WORDS]
    return " ".join(kept or words)


def training_sets(packages: Path) -> dict[str, dict[str, Any]]:
    """Prefix → what `@iconify/json` says of every set that may be trained on: its name, author and licence."""
    listed: dict[str, dict[str, Any]] = json.loads((packages / "@iconify/json/collections.json").read_text("utf-8"))
    return {
        prefix: info
        for prefix, info in sorted(listed.items())
        if info["license"].get("spdx") in LICENCES
        and info.get("category") not in _OTHER_SUBJECTS
        and not info.get("hidden")
        and not _LOGO.search(prefix)
        and prefix not in HELD_OUT.keys() | _KIN | _FLAGS
    }


def read_icons(packages: Path) -> Iterator[Drawing]:
    """Every icon to train on, two at most of one name in one set; a name that is an emoji's label is that concept."""
    concepts = _concepts_by_label(packages)
    for prefix in training_sets(packages):
        taken: Counter[str] = Counter()
        for drawing in _drawings(packages, prefix, concepts):
            taken[drawing.concept.label] += 1
            if taken[drawing.concept.label] <= _PER_NAME and not unseen(drawing.concept):
                yield drawing


def read_held_out(packages: Path, prefix: str) -> Iterator[Drawing]:
    """Every icon of a set that is held out, for measuring."""
    yield from _drawings(packages, prefix, _concepts_by_label(packages))


def unseen(concept: Concept) -> bool:
    """Whether it is an emoji's concept that is held out; names of icons alone never are."""
    return not concept.hexcode.startswith("name:") and concept.held_out


def _concepts_by_label(packages: Path) -> dict[str, Concept]:
    return {squeeze(concept.label): concept for concept in read_concepts(packages).values()}


def _drawings(packages: Path, prefix: str, concepts: dict[str, Concept]) -> Iterator[Drawing]:
    collection = read_collection(packages, prefix)
    for icon, data in sorted(collection["icons"].items()):
        name = clean_name(icon)
        if data.get("hidden") or len(name) < 3 or _LOGO.search(name):
            continue
        concept = concepts.get(squeeze(name))
        yield Drawing(
            concept=Concept(
                hexcode=concept.hexcode if concept else f"name:{squeeze(name)}",
                label=name,
                tags=(),
                group="icons",
                labels=concept.labels if concept else {},
            ),
            style=prefix,
            name=icon,
            licence=licence_of(collection),
            svg=svg_document(collection, icon),
        )


class Copies:
    """The near copies of some drawings: `drawing in copies` for the same name and a shape that correlates."""

    def __init__(self, originals: Iterable[Drawing]) -> None:
        self._shapes: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for drawing in originals:
            self._shapes[squeeze(drawing.concept.label)].append(_shape(drawing))

    def __contains__(self, drawing: Drawing) -> bool:
        shapes = self._shapes.get(squeeze(drawing.concept.label))
        return shapes is not None and bool((np.stack(shapes) @ _shape(drawing)).max() > _COPY_CORRELATION)


def _shape(drawing: Drawing) -> NDArray[np.float32]:
    """What is not transparent, small, centred and of unit length, so that a dot product is a correlation."""
    with Image.open(io.BytesIO(render(drawing.svg, _COPY_SIZE))) as image:
        alpha = image.convert("RGBA").getchannel("A").resize((_COPY_SIZE, _COPY_SIZE))  # not all drawings are square
    shape = np.asarray(alpha, dtype=np.float32).ravel()
    shape = shape - shape.mean()
    unit: NDArray[np.float32] = shape / max(float(np.linalg.norm(shape)), 1e-6)
    return unit
