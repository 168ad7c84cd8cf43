"""What is held out stays held out, in every style, and a changed licence is noticed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from model.shards import read_shard
from tests.training.conftest import SAMPLE
from tests.training.prepare.font import write_font
from training.prepare import icons, pictogram
from training.prepare.build import PACKAGES, prepare_gallery, prepare_icons, prepare_pictogram
from training.prepare.drawings import Concept, Drawing, SourceError, render, squeeze, svg_document
from training.prepare.icons import Copies, clean_name, read_held_out, read_icons
from training.prepare.pictogram import SPLITS, read_drawings, split_of

BODY = '<path fill="#f00" d="M0 0h8v8H0z"/>'
UNSEEN_BODY = '<path fill="#f00" d="M0 0h8v6H0z"/>'
EMOJI = [
    ("1F600", "grinning face", 0),
    ("1F34E", "red apple", 4),
    ("1F680", "rocket", 5),
    ("2764-FE0F", "red heart", 0),
    ("1F1EF-1F1F5", "flag: Japan", 5),
]


def package(
    root: Path, prefix: str, licence: str, names: list[str], chars: dict[str, str] | None = None, body: str = BODY
) -> None:
    info = {"name": prefix, "author": {"name": "somebody"}, "license": {"spdx": licence}}
    collection = {"prefix": prefix, "info": info, "icons": {n: {"body": body} for n in names}, "aliases": {}}
    collection |= {"width": 16, "height": 16} | ({"chars": chars} if chars else {})
    folder = root / "@iconify/json"
    (folder / "json").mkdir(parents=True, exist_ok=True)
    (folder / "json" / f"{prefix}.json").write_text(json.dumps(collection))
    listed = folder / "collections.json"
    known = json.loads(listed.read_text()) if listed.exists() else {}
    category = "Emoji" if prefix in pictogram.LICENCES else "UI 24px"
    listed.write_text(json.dumps(known | {prefix: info | {"category": category}}))


FLAG_SETS = ("circle-flags", "flag", "flagpack")
OF_THE_FONT = 2 * 3  # face and rocket, plain and coloured in twice
DRAWINGS = (len(pictogram.LICENCES) - len(FLAG_SETS)) * len(EMOJI) + len(FLAG_SETS) + OF_THE_FONT


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A `node_modules` folder like the real one, with four emoji."""
    root = tmp_path / "node_modules"
    for folder, content in (
        ("emojibase-data/meta/groups.json", {"groups": {"0": "smileys", "4": "food", "5": "travel"}}),
        ("emojibase-data/en/data.json", [{"hexcode": h, "label": n, "tags": ["x"], "group": g} for h, n, g in EMOJI]),
        *(
            (
                f"emojibase-data/{language}/data.json",
                [{"hexcode": "1F680", "label": f"1F680 {language}", "tags": ["y"]}],
            )
            for language in pictogram.LANGUAGES
        ),
    ):
        path = root / folder
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    slugs = {n.replace(" ", "-"): h for h, n, _ in EMOJI}
    chars = {hexcode.lower(): slug for slug, hexcode in slugs.items()}
    for style, licence in pictogram.LICENCES.items():
        with_chars = style in {"noto", "twemoji", "openmoji", "fluent-emoji-flat"}
        spelt = list(slugs) if style != "fxemoji" else [slug.replace("-", "") for slug in slugs]
        spelt = ["jp", "de-4x3", "lang-en"] if "flag" in style else spelt
        package(root, style, licence, spelt, chars if with_chars else None)
    for prefix in ("mdi", "tabler"):
        package(root, prefix, "MIT", ["rocket-line", "rocket-fill", "rocket-bold", "umbrella-2", "brand-x"])
    for prefix, licence in icons.HELD_OUT.items():
        package(root, prefix, licence, ["anchor", "umbrella"], body=UNSEEN_BODY)
    write_font(root)
    package(root, "feather", "MIT", ["anchor"])  # what lucide was made from
    package(root, "copyleft", "GPL-3.0", ["anchor"])
    package(root, "fa-brands", "CC-BY-4.0", ["anchor"])
    return root


def test_every_style_finds_every_concept(packages):
    drawings = list(read_drawings(packages))
    assert len(drawings) == DRAWINGS
    assert {d.concept.hexcode for d in drawings} == {"1F600", "1F34E", "1F680", "2764", "1F1EF-1F1F5"}


def test_sets_of_flags_are_found_by_country(packages):
    flags = [d for d in read_drawings(packages) if d.style in FLAG_SETS]
    assert {(d.style, d.name, d.concept.label) for d in flags} == {(s, "jp", "flag: Japan") for s in FLAG_SETS}


def test_concepts_have_their_labels_in_other_languages(packages):
    rocket = next(d for d in read_drawings(packages) if d.concept.hexcode == "1F680")
    assert rocket.metadata["labels"]["ja"] == "1F680 ja"
    assert rocket.metadata["keywords"]["de"] == ["y"]
    apple = next(d for d in read_drawings(packages) if d.concept.hexcode == "1F34E")
    assert "labels" not in apple.metadata, "none of the other languages names it"


def drawing(style: str, hexcode: str) -> Drawing:
    return Drawing(
        concept=Concept(hexcode=hexcode, label="", tags=(), group=""), style=style, name="", licence="", svg=""
    )


def test_share_alike_styles_and_a_tenth_of_concepts_are_never_trained_on():
    hexcodes = [f"{number:X}" for number in range(0x1F300, 0x1F300 + 2000)]
    held_out = {h for h in hexcodes if drawing("noto", h).concept.held_out}
    assert 0.08 < len(held_out) / len(hexcodes) < 0.12
    for style, licence in pictogram.LICENCES.items():
        for hexcode in hexcodes:
            split = split_of(drawing(style, hexcode))
            assert split in SPLITS or (style in pictogram.ONLY_TRAINED_ON and hexcode in held_out)
            if split == "train":
                assert hexcode not in held_out
                assert "SA" not in licence


def test_the_split_is_fixed():
    """Another build of the data set, or of this code, must not leak what a published model was tested on."""
    seen, unseen = ["1F34E", "1F680", "1F30B", "1F600", "1F408"], ["1F511", "1F440", "1F479", "1F496", "261D"]
    assert [h for h in seen + unseen if drawing("noto", h).concept.held_out] == unseen


def test_a_changed_licence_stops_the_build(packages):
    package(packages, "noto", "GPL-3.0", [])
    with pytest.raises(SourceError, match=r"noto is now licensed GPL-3\.0"):
        list(read_drawings(packages))


def test_icons_that_draw_an_emoji_share_its_concept_and_styles_are_no_part_of_names(packages):
    drawings = list(read_icons(packages))
    assert {d.concept.label for d in drawings} == {"rocket", "umbrella"}
    assert {d.concept.hexcode for d in drawings if d.concept.label == "rocket"} == {"1F680"}
    of_one_set = [d.name for d in drawings if d.style == "mdi"]
    assert sorted(of_one_set) == ["rocket-bold", "rocket-fill", "umbrella-2"], "two of a name, and no brands"


def test_only_permissive_sets_are_trained_on_and_none_that_is_held_out_or_its_kin(packages):
    assert set(icons.training_sets(packages)) == {"mdi", "tabler"}


def test_near_copies_of_held_out_icons_are_recognised(packages):
    umbrella = next(d for d in read_held_out(packages, "lucide") if d.concept.label == "umbrella")
    copies = Copies([umbrella])
    other = umbrella.svg.replace("M0 0h8v6H0z", "M8 8h8v8H8z")
    assert replace(umbrella, style="mdi", svg=umbrella.svg.replace("#f00", "#00f")) in copies, "colour does not matter"
    assert replace(umbrella, svg=other) not in copies, "another drawing of the same thing"
    assert replace(umbrella, concept=replace(umbrella.concept, label="square")) not in copies, "another name"


def test_icons_of_held_out_concepts_are_left_out(packages, monkeypatch):
    monkeypatch.setattr(Concept, "held_out", property(lambda concept: concept.hexcode == "1F680"))
    assert {d.concept.label for d in read_icons(packages)} == {"umbrella"}


@pytest.mark.parametrize(
    ("icon", "name"),
    [("umbrella-2-filled", "umbrella"), ("rocket", "rocket"), ("fill", "fill"), ("a-b-line", "a b")],
)
def test_icon_names(icon, name):
    assert clean_name(icon) == name
    assert squeeze("Red Apple!") == "redapple"


def test_aliases_are_flipped_and_turned():
    half = {"icons": {"left": {"body": '<path d="M0 0h8v16H0z"/>'}}, "width": 16, "height": 16}
    aliases = {
        "right": {"parent": "left", "hFlip": True},
        "top": {"parent": "left", "rotate": 1},
        "again": {"parent": "right"},
    }

    def quadrants(name: str) -> list[bool]:
        import io

        from PIL import Image

        image = Image.open(io.BytesIO(render(svg_document(half | {"aliases": aliases}, name), 16))).convert("RGBA")
        return [image.getpixel(at)[3] > 0 for at in ((3, 3), (12, 3), (3, 12), (12, 12))]

    assert quadrants("left") == [True, False, True, False]
    assert quadrants("right") == quadrants("again") == [False, True, False, True]
    assert quadrants("top") == [True, True, False, False]


@pytest.fixture
def installed(packages, monkeypatch) -> None:
    monkeypatch.setattr("training.prepare.build.install_packages", lambda: packages)


def test_prepared_shards_hold_every_drawing_once(installed, packages, tmp_path):
    counts = prepare_pictogram(tmp_path / "out")
    written = {
        split: [s for shard in sorted((tmp_path / "out" / split).glob("*.tar")) for s in read_shard(shard)]
        for split in SPLITS
    }
    assert {split: len(samples) for split, samples in written.items()} == counts
    styles = [sample.metadata["metadata"]["source"] for samples in written.values() for sample in samples]
    hidden = {d.concept.hexcode for d in read_drawings(packages) if d.concept.held_out}
    unseen = sum(d.concept.hexcode in hidden and d.style in pictogram.ONLY_TRAINED_ON for d in read_drawings(packages))
    as_drawn = [style for style in styles if not style.endswith("outlined")]
    assert len(as_drawn) == DRAWINGS - unseen
    restyled = [style for s in written["train"] if (style := s.metadata["metadata"]["source"]).endswith("outlined")]
    assert len(styles) - len(as_drawn) == len(restyled) > 0, "only what is trained on is drawn in other manners"
    sample = written["train"][0]
    assert re.fullmatch(r"\d{9}", sample.key)
    assert sample.caption == sample.metadata["caption"] == sample.metadata["metadata"]["label"]
    assert sample.metadata["status"] == "success"
    assert sample.picture.startswith(b"\x89PNG")


def test_a_drawing_of_a_held_out_concept_is_trained_on_under_no_other_name(installed, tmp_path, monkeypatch):
    """Here every style draws all of its emoji alike, as some draw a man and a person."""
    monkeypatch.setattr(Concept, "held_out", property(lambda concept: concept.hexcode == "1F680"))
    counts = prepare_pictogram(tmp_path / "out")
    assert counts["unseen-concepts"] > 0
    styles = {s.metadata["metadata"]["source"] for s in read_shard(tmp_path / "out/train/00000.tar")}
    assert styles <= {*FLAG_SETS, "noto-emoji", "noto-emoji, coloured"}, "others have only the one drawing"


def test_a_held_out_icon_is_trained_on_under_no_other_name(installed, packages, tmp_path):
    package(packages, "mdi", "MIT", ["grapnel", "parasol"], body=UNSEEN_BODY)
    prepare_icons(tmp_path / "out")
    trained = [s.metadata["metadata"] for s in read_shard(tmp_path / "out/train/00000.tar")]
    assert {"tabler"} == {metadata["source"] for metadata in trained}


def test_preparing_again_writes_the_same_bytes(installed, tmp_path):
    for name in ("a", "b"):
        prepare_icons(tmp_path / name)
        prepare_gallery(tmp_path / name)
    for path in ("train/00000.tar", "twemoji.tar"):
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    (tmp_path / "a/train/00007.tar").write_bytes((tmp_path / "a/train/00000.tar").read_bytes())
    prepare_icons(tmp_path / "a")
    assert [shard.name for shard in (tmp_path / "a/train").glob("*.tar")] == ["00000.tar"], "of a larger build"


def test_the_gallery_credits_every_picture(installed, tmp_path):
    assert prepare_gallery(tmp_path) == {"twemoji": 5}
    for sample in read_shard(tmp_path / "twemoji.tar"):
        assert sample.metadata["metadata"]["license"] == "CC-BY-4.0"
        assert sample.metadata["metadata"]["source"] == "twemoji"


def test_package_json_pins_the_sources():
    pinned = json.loads((PACKAGES / "package.json").read_text())["dependencies"]
    assert set(pinned) == {"@expo-google-fonts/noto-emoji", "@iconify/json", "emojibase-data"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned.values())


def test_the_committed_sample_is_permissively_licensed():
    for shard in SAMPLE.glob("*/*.tar"):
        for sample in read_shard(shard):
            assert sample.metadata["metadata"]["license"] in {"Apache-2.0", "MIT"}
