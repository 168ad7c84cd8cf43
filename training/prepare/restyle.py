"""Another manner of drawing for the drawings there are: the same shapes with dark outlines, in fewer colours.

Emoji vendors mostly paint without lines; others, and most people with a pen, draw lines first. Rendering drawings in
both manners teaches that the manner is not the meaning. Working on the SVG and not on pixels keeps lines crisp and of
one width, however small the detail that they go round.
"""

import hashlib
import re
from dataclasses import replace

from training.prepare import glyphs
from training.prepare.drawings import Drawing

_ROOT = re.compile(r'(<svg\b[^>]*viewBox="\S+ \S+ (?P<width>\S+) \S+"[^>]*>)(?P<body>.*)</svg>$', re.DOTALL)
_COLOUR = re.compile(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b")
_LEVELS = (0x20, 0x70, 0xB0, 0xF0)


def outlined(drawing: Drawing) -> Drawing | None:
    """The drawing with outlines, the same in every build. Line widths and palettes differ from drawing to drawing.

    None for flags, which are their colours, and for what is drawn in lines already.
    """
    if drawing.concept.group == "flags" or drawing.style in {glyphs.STYLE, glyphs.COLOURED}:
        return None
    digest = hashlib.sha256(drawing.svg.encode()).digest()
    root = _ROOT.match(drawing.svg)
    assert root is not None, "drawings come from svg_document, which writes a view box"
    width = float(root["width"]) * (0.018 + 0.02 * digest[0] / 255)
    body = _COLOUR.sub(_posterised, root["body"]) if digest[1] % 2 else root["body"]
    pen = f'stroke="#000" stroke-width="{width:.4g}" stroke-linejoin="round" stroke-linecap="round"'
    return replace(drawing, style=f"{drawing.style}, outlined", svg=f"{root[1]}<g {pen}>{body}</g></svg>")


def _posterised(match: re.Match[str]) -> str:
    """The nearest colour of a palette of 64, as flat illustrations use few."""
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    channels = (int(digits[place : place + 2], 16) for place in (0, 2, 4))
    return "#" + "".join(f"{min(_LEVELS, key=lambda level: abs(level - channel)):02x}" for channel in channels)
