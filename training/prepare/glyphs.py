"""Line drawings of emoji: the glyphs of the font Noto Emoji, which draws in one colour, as they are and coloured in.

Vendors mostly paint; this font draws lines, of nearly every emoji there is. Coloured in flatly, area by area and with
whatever colours come, its drawings tell that a line may have any colour in it.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fontTools.pens.boundsPen import ControlBoundsPen
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.svgLib.path import parse_path
from fontTools.ttLib import TTFont

from training.prepare.drawings import Concept, Drawing, SourceError

STYLE, COLOURED = "noto-emoji", "noto-emoji, coloured"
LICENCE = "OFL-1.1"

_PACKAGE = "@expo-google-fonts/noto-emoji"
_COLOURINGS = 2
_SKIN = ("#ffd83b", "#fcc21b", "#ffdd67", "#fbe14a")
_PALETTE = (
    *("#ffffff", "#ffffff", "#ffd83b", "#f0a020", "#d22f27", "#ea5a47", "#f7a1a8", "#8967aa", "#1e50a0", "#61b2e4"),
    *("#92d3f5", "#5c9e31", "#b1cc33", "#a57939", "#6a462f", "#9b9b9a", "#d0cfce", "#3f3f3f"),
)
_COLOUR = re.compile(
    r"\b(red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|colou?r\w*|rainbow)\b", re.IGNORECASE
)


def read_glyphs(packages: Path, concepts: Iterable[Concept]) -> Iterator[Drawing]:
    """The drawings of the concepts that the font has, each plain and coloured in.

    Left out is what colours tell apart, flags and what is named after one, and what the font draws alike: it has one
    drawing for many a woman, man and person.
    """
    folder = packages / _PACKAGE
    licence = json.loads((folder / "package.json").read_text("utf-8"))["license"]
    if LICENCE not in licence:
        raise SourceError(f"{_PACKAGE} is now licensed {licence}, not {LICENCE}: review it before using it")
    font = TTFont(folder / "400Regular/NotoEmoji_400Regular.ttf")
    drawn = list(_drawn(font, concepts))
    owners = Counter(lines for _, _, lines in drawn)
    page = _Page(font["hhea"].ascent, font["hhea"].descent)
    for concept, name, lines in drawn:
        if owners[lines] > 1:
            continue
        width = font["hmtx"][name][0]
        svg = page.of(f'<path d="{lines}"/>', width)
        yield Drawing(concept=concept, style=STYLE, name=name, licence=LICENCE, svg=svg)
        for number in range(_COLOURINGS):
            svg = page.of(f'{_areas(lines, concept, number)}<path d="{lines}"/>', width)
            yield Drawing(concept=concept, style=COLOURED, name=f"{name}-{number}", licence=LICENCE, svg=svg)


def _drawn(font: TTFont, concepts: Iterable[Concept]) -> Iterator[tuple[Concept, str, str]]:
    """(concept, glyph, its path), of the concepts that have a glyph with something on it."""
    glyphs, characters, ligatures = font.getGlyphSet(), font.getBestCmap(), _ligatures(font)
    for concept in concepts:
        if concept.group == "flags" or _COLOUR.search(concept.label):
            continue
        parts = [characters.get(int(point, 16), "") for point in concept.hexcode.split("-")]
        name = _joined(parts, ligatures)
        if name is None:
            continue
        pen = SVGPathPen(glyphs)
        glyphs[name].draw(pen)
        if lines := pen.getCommands():
            yield concept, name, lines


class _Page:
    """The square that a glyph is drawn on; a font's y points upwards."""

    def __init__(self, ascent: int, descent: int) -> None:
        self._ascent, self._height = ascent, ascent - descent

    def of(self, body: str, width: int) -> str:
        size = f'viewBox="0 0 {width} {self._height}" width="{width}" height="{self._height}"'
        turn = f"translate(0 {self._ascent}) scale(1 -1)"
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><g transform="{turn}">{body}</g></svg>'


def _areas(lines: str, concept: Concept, number: int) -> str:
    """Every closed line filled by itself, each in a colour of its own, the same in every build."""
    contours = [f"{contour}Z" for contour in lines.split("Z") if contour]
    paths = []
    for place, contour in enumerate(sorted(contours, key=_extent, reverse=True)):
        draw = hashlib.sha256(f"{concept.hexcode} {number} {place}".encode()).digest()
        of_a_person = concept.group in {"people-body", "smileys-emotion"} and draw[1] % (4 if place else 8)
        palette = _SKIN if of_a_person else _PALETTE
        paths.append(f'<path fill="{palette[draw[0] % len(palette)]}" d="{contour}"/>')
    return "".join(paths)


def _extent(contour: str) -> float:
    """The area of the box around a contour: what lies inside another one is smaller, and is filled after it."""
    pen = ControlBoundsPen(None)
    parse_path(contour, pen)
    left, low, right, high = pen.bounds
    return float((right - left) * (high - low))


def _ligatures(font: TTFont) -> dict[tuple[str, ...], str]:
    """Sequences of glyphs → the one that is drawn in their place."""
    found: dict[tuple[str, ...], str] = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            for first, ligatures in getattr(table, "ligatures", {}).items():
                found |= {(first, *ligature.Component): ligature.LigGlyph for ligature in ligatures}
    return found


def _joined(parts: Sequence[str], ligatures: dict[tuple[str, ...], str]) -> str | None:
    """The one glyph that a sequence becomes, the longest ligatures first; None where the font has none."""
    parts = tuple(parts)
    while len(parts) > 1:
        spans = ((start, stop) for stop in range(len(parts), 1, -1) for start in range(stop - 1))
        span = max(
            (span for span in spans if parts[slice(*span)] in ligatures), key=lambda s: s[1] - s[0], default=None
        )
        if span is None:
            return None
        parts = (*parts[: span[0]], ligatures[parts[slice(*span)]], *parts[span[1] :])
    return parts[0] or None
