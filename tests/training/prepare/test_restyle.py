"""Other manners of drawing show the same thing: the shapes stay, flags keep their colours."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from training.prepare.build import render
from training.prepare.drawings import Concept, Drawing
from training.prepare.glyphs import COLOURED, STYLE
from training.prepare.restyle import outlined


def drawing(number: int, label: str = "plate", group: str = "food") -> Drawing:
    body = f'<circle cx="8" cy="8" r="5.{number:03}" fill="#e83030"/>'
    return Drawing(
        concept=Concept(hexcode=f"name:{label}", label=label, tags=(), group=group),
        style="noto",
        name=f"plate-{number}",
        licence="Apache-2.0",
        svg=f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" width="16" height="16">{body}</svg>',
    )


def pixels(drawn: Drawing) -> np.ndarray:
    with Image.open(io.BytesIO(render(drawn.svg, 64))) as image:
        return np.asarray(image.convert("RGBA"))


def test_outlines_go_round_the_shape_and_the_shape_keeps_its_colour():
    made = outlined(drawing(0))
    assert made is not None
    assert made.style == "noto, outlined"
    picture = pixels(made)
    edge = picture[32, :, :3][picture[32, :, 3] > 250]
    assert (edge[0] < 60).all(), "a line round the shape"
    assert picture[0, 0, 3] == 0, "the background stays clear"
    red, green, _, _ = picture[32, 32]
    assert red > green + 60


def test_every_build_outlines_alike_with_lines_of_many_widths():
    made = [outlined(drawing(number)) for number in range(200)]
    assert made == [outlined(drawing(number)) for number in range(200)]
    assert len({one.svg.partition("stroke-width=")[2][:6] for one in made if one}) > 20


def test_flags_and_line_drawings_are_left_alone():
    assert outlined(drawing(0, "flag: Japan", "flags")) is None
    assert outlined(replace(drawing(0), style=STYLE)) is None
    assert outlined(replace(drawing(0), style=COLOURED)) is None
