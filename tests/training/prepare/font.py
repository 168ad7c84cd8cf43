"""A font like Noto Emoji, of two shapes, in a package like the one that it comes in."""

import json
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._g_l_y_f import Glyph

LIGATURE = "feature ccmp { sub man joiner rocket by astronaut; } ccmp;"


def ring(outer: int, inner: int) -> Glyph:
    """A square line round a square area, both of these half-widths."""
    pen = TTGlyphPen(None)
    for half, turn in ((outer, 1), (inner, -1)):
        corners = [
            (500 - half, 500 - half),
            (500 - half, 500 + half),
            (500 + half, 500 + half),
            (500 + half, 500 - half),
        ]
        pen.moveTo(corners[0])
        for corner in corners[1:][::turn]:
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def write_font(packages: Path, licence: str = "MIT AND OFL-1.1") -> None:
    """Below `packages`, a `node_modules` folder: a man, a rocket, a grinning face, and an astronaut as a ligature."""
    folder = packages / "@expo-google-fonts/noto-emoji"
    (folder / "400Regular").mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"version": "1.0.0", "license": licence}))
    points = {0x1F468: "man", 0x200D: "joiner", 0x1F680: "rocket", 0x1F600: "face", 0x1F34E: "apple"}
    names = [".notdef", *points.values(), "astronaut"]
    shapes = {name: ring(400, 290 + place) for place, name in enumerate(names)}
    shapes |= {"joiner": TTGlyphPen(None).glyph(), "astronaut": ring(200, 100)}
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(points)
    font.setupGlyf(shapes)
    font.setupHorizontalMetrics(
        {name: (1000, getattr(shape, "xMin", 0)) for name, shape in font.font["glyf"].glyphs.items()}
    )
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({})
    font.setupOS2()
    font.setupPost()
    font.addOpenTypeFeatures(LIGATURE)
    font.save(folder / "400Regular/NotoEmoji_400Regular.ttf")
