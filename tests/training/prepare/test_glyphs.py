"""A font's drawings find their concepts, ligatures included, and colours are only put where they say nothing."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.training.prepare.font import write_font
from training.prepare.drawings import Concept, Drawing, SourceError, render
from training.prepare.glyphs import COLOURED, STYLE, _extent, read_glyphs


def concept(hexcode: str, label: str, group: str = "travel-places") -> Concept:
    return Concept(hexcode=hexcode, label=label, tags=(), group=group)


def pixels(drawing: Drawing) -> np.ndarray:
    with Image.open(io.BytesIO(render(drawing.svg, 100))) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.fixture
def packages(tmp_path):
    write_font(tmp_path)
    return tmp_path


def test_a_sequence_is_its_ligature_and_nothing_is_its_parts(packages):
    known = [concept("1F680", "rocket"), concept("1F468-200D-1F680", "man astronaut")]
    unknown = [concept("1F468-200D-1F600", "man grinning"), concept("1F9F8", "teddy bear"), concept("200D", "joiner")]
    found = list(read_glyphs(packages, known + unknown))
    assert [(d.concept.label, d.style) for d in found] == [
        (label, style) for label in ("rocket", "man astronaut") for style in (STYLE, COLOURED, COLOURED)
    ]
    widths = {d.concept.label: int((pixels(d)[50, :, 3] > 128).sum()) for d in found if d.style == STYLE}
    assert widths == {"rocket": 22, "man astronaut": 20}
    across = {d.concept.label: np.flatnonzero(pixels(d)[50, :, 3]) for d in found if d.style == STYLE}
    assert (across["rocket"][0], across["man astronaut"][0]) == (10, 30), "the shape is that of the ligature"


def test_areas_are_filled_and_lines_stay_black_in_every_build_alike(packages):
    found = list(read_glyphs(packages, [concept("1F680", "rocket")]))
    assert found == list(read_glyphs(packages, [concept("1F680", "rocket")]))
    plain, *coloured = (pixels(d) for d in found)
    assert plain[50, 50, 3] == 0
    for picture in coloured:
        assert tuple(picture[50, 15]) == (0, 0, 0, 255)
        assert picture[50, 50, 3] == 255
        assert picture[5, 5, 3] == 0
    assert coloured[0][50, 50].tolist() != coloured[1][50, 50].tolist()


def test_what_colours_tell_apart_is_left_out(packages):
    told = [concept("1F680", "flag: Japan", "flags"), concept("1F34E", "red apple"), concept("1F680", "black rocket")]
    assert not list(read_glyphs(packages, told))


def test_what_the_font_draws_alike_is_left_out(packages):
    """Held-out concepts included, whose drawing another one would bring into training."""
    alike = [concept("1F680", "rocket"), concept("1F680", "missile"), concept("1F600", "face")]
    assert {d.concept.label for d in read_glyphs(packages, alike)} == {"face"}


def test_what_lies_inside_is_filled_after_what_lies_around_it(packages):
    (_, coloured, _) = read_glyphs(packages, [concept("1F680", "rocket")])
    outer, inner, _ = re.findall(r'd="([^"]+)"', coloured.svg)
    assert _extent(outer) > _extent(inner) > 0
    assert _extent("M0,0H10V10H0Z") == 100


def test_a_changed_licence_stops_the_build(packages):
    write_font(packages, "MIT")
    with pytest.raises(SourceError, match=r"noto-emoji is now licensed MIT, not OFL-1\.1"):
        list(read_glyphs(packages, []))
