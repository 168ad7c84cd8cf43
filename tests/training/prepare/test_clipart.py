"""Clip art: only what is in the public domain and says what it shows, cut to what is drawn."""

import io
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from training.prepare import clipart
from training.prepare.clipart import fetch, held_out, picture, read_clipart
from training.prepare.drawings import SourceError

PUBLIC_DOMAIN = "http://web.resource.org/cc/PublicDomain"


def svg(title: str, licence: str = PUBLIC_DOMAIN, keywords=("animal",), body='<path d="M150 250h40v20h-40z"/>') -> str:
    items = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="210mm" height="297mm" viewBox="0 0 210 297"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://web.resource.org/cc/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><metadata><rdf:RDF><cc:Work>
 <dc:title>{title}</dc:title><dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>
 <cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata>{body}</svg>"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.setattr(clipart, "read_concepts", lambda _: {})

    def write_and_read(*files: str):
        folder = tmp_path / "svg" / "animals"
        folder.mkdir(parents=True)
        for number, content in enumerate(files):
            (folder / f"{number:03}.svg").write_text(content)
        return list(read_clipart(tmp_path / "svg", tmp_path))

    return write_and_read


def test_titles_lose_numbers_and_credits_and_keywords_their_filing(read):
    (horse, jigsaw) = read(
        svg("Running_Horse_02", keywords=("horse", "hash", "signs_and_symbols")),
        svg("Clipart by Somebody - jigsaw_red_10"),
    )
    assert (horse.concept.label, horse.concept.tags, horse.concept.group) == ("running horse", ("horse",), "animals")
    assert jigsaw.concept.label == "jigsaw red"


def test_what_is_damaged_licensed_or_titled_for_its_collection_is_left_out(read):
    assert not read(
        svg("horse", licence="http://creativecommons.org/licenses/GPL/2.0/"),
        svg("Lemon SVG theme"),
        svg(""),
        svg("horse")[:-20],
    )


def test_a_title_on_many_drawings_names_a_series(read):
    drawings = read(*(svg(f"card {number}") for number in range(20)), svg("horse"))
    assert [drawing.concept.label for drawing in drawings] == ["horse"]


def test_a_picture_is_cut_to_what_is_drawn(read):
    (horse,) = read(svg("horse"))
    png = picture(horse)
    assert png is not None
    with Image.open(io.BytesIO(png)) as image:
        assert abs(image.width / image.height - 2) < 0.1, "40 by 20 on a sheet of 210 by 297"
        assert image.convert("RGBA").getchannel("A").getbbox() == (0, 0, *image.size)


def test_what_shows_nothing_has_no_picture(read):
    (horse,) = read(svg("horse", body=""))
    assert picture(horse) is None


def test_a_tenth_of_titles_is_held_out_with_all_their_drawings(read):
    drawings = read(*(svg(f"thing {chr(97 + n // 26)}{chr(97 + n % 26)}") for n in range(400) for _ in range(2)))
    assert len(drawings) == 800
    assert 0.05 < sum(held_out(drawing) for drawing in drawings) / 800 < 0.15
    pairs = zip(drawings[::2], drawings[1::2], strict=True)
    assert all(held_out(one) == held_out(other) for one, other in pairs)


def test_a_machine_without_apt_is_told_what_to_do(tmp_path, monkeypatch):
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("apt-get")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(SourceError, match=r"unpack that package by hand, so that .*openclipart/svg exists"):
        fetch(Path(tmp_path))
