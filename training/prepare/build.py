"""Building data sets as WebDataset shards: render every drawing, write each split's shards in img2dataset layout."""

import hashlib
import io
import json
import subprocess
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from model.durable import write_atomic
from model.errors import ParallaxError
from model.shards import Sample, ShardWriter
from training.prepare import clipart, icons
from training.prepare.clipart import fetch, read_clipart
from training.prepare.drawings import Drawing, render
from training.prepare.icons import Copies, read_held_out, read_icons
from training.prepare.pictogram import SPLITS, read_drawings, split_of
from training.prepare.restyle import outlined

PACKAGES = Path(__file__).parent.parent / "sources"
SHARD_SIZE = 1000
PICTOGRAM_SIZE = 96
ICON_SIZE = 64
GALLERY_SIZE = 128


class PrepareError(ParallaxError):
    """A data set cannot be built."""


def install_packages() -> Path:
    """Fetch the pinned npm packages where they or their versions are missing; returns their `node_modules` folder."""
    modules = PACKAGES / "node_modules"
    pinned: dict[str, str] = json.loads((PACKAGES / "package.json").read_text("utf-8"))["dependencies"]
    if not all(_installed(modules / package, version) for package, version in pinned.items()):
        try:
            subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=PACKAGES, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PrepareError(
                f"The drawings come from npm packages, and `npm ci` in {PACKAGES} failed: {error}"
            ) from error
    return modules


def _installed(package: Path, version: str) -> bool:
    try:
        return bool(json.loads((package / "package.json").read_text("utf-8"))["version"] == version)
    except OSError:
        return False


def prepare_pictogram(folder: Path) -> dict[str, int]:
    """Write every split of the pictogram set below `folder`; returns the number of pictures of each split."""
    drawings = list(read_drawings(install_packages()))
    unseen = {drawing.svg for drawing in drawings if drawing.concept.held_out}
    counts = {}
    for split in SPLITS:
        members = [drawing for drawing in drawings if split_of(drawing) == split]
        if split == "train":  # a source may draw several concepts alike, and one of them may be held out
            members = [drawing for drawing in members if drawing.svg not in unseen]
            members += [redrawn for drawing in members if (redrawn := outlined(drawing))]
        counts[split] = _write_shards(folder / split, members, _rendered(PICTOGRAM_SIZE))
    return counts


def prepare_icons(folder: Path) -> dict[str, int]:
    """Write the icon sets below `folder`: the ones to train on together, each of those held out by itself."""
    packages = install_packages()
    held_out = {prefix: list(read_held_out(packages, prefix)) for prefix in icons.HELD_OUT}
    copies = Copies(drawing for drawings in held_out.values() for drawing in drawings)
    train = [drawing for drawing in read_icons(packages) if drawing not in copies]
    unseen = {render(drawing.svg, ICON_SIZE) for drawings in held_out.values() for drawing in drawings}
    counts = {"train": _write_shards(folder / "train", train, _rendered(ICON_SIZE, unseen))}
    for prefix, drawings in held_out.items():
        counts[prefix] = _write_shards(folder / prefix, drawings, _rendered(ICON_SIZE))
    _write_credits(folder / "CREDITS.md", icons.training_sets(packages))
    return counts


def prepare_clipart(folder: Path) -> dict[str, int]:
    """Write the clip art below `folder`: a tenth of its titles are held out."""
    drawings = list(read_clipart(fetch(folder / "package"), install_packages()))
    train = [d for d in drawings if not clipart.held_out(d) and not icons.unseen(d.concept)]
    splits = {"train": train, "held-out": [d for d in drawings if clipart.held_out(d)]}
    return {split: _write_shards(folder / split, drawn, clipart.picture) for split, drawn in splits.items()}


def _write_credits(path: Path, sets: dict[str, dict[str, Any]]) -> None:
    """A Markdown table of icon sets with authors and licences, as the licences ask for."""
    rows = [
        f"| {prefix} | {info['name']} | {info['author']['name']} | {info['license']['spdx']} |"
        for prefix, info in sets.items()
    ]
    write_atomic(path, "\n".join(["| set | name | author | licence |", "|---|---|---|---|", *rows, ""]).encode())


def prepare_gallery(folder: Path) -> dict[str, int]:
    """Write the demo gallery, every Twemoji drawing, as the one shard `folder`/twemoji.tar."""
    twemoji = (drawing for drawing in read_drawings(install_packages()) if drawing.style == "twemoji")
    drawings = _shuffled(replace(d, concept=replace(d.concept, labels={}, keywords={})) for d in twemoji)
    progress = tqdm(total=len(drawings), desc="rendering", unit="picture")
    with ShardWriter(folder / "twemoji.tar") as shard:
        for number, drawing in enumerate(drawings):
            picture = _palette_png(render(drawing.svg, GALLERY_SIZE))
            shard.write(sample_of(f"{number:05}", drawing, picture))
            progress.update()
    return {"twemoji": len(drawings)}


DATA_SETS = {
    "pictogram": prepare_pictogram,
    "icons": prepare_icons,
    "clipart": prepare_clipart,
    "gallery": prepare_gallery,
}


def _shuffled(drawings: Iterable[Drawing]) -> list[Drawing]:
    """In a fixed order that mixes styles and groups, so that any part of a data set is a fair sample of it."""
    return sorted(drawings, key=lambda drawing: hashlib.sha256(f"{drawing.style}:{drawing.name}".encode()).digest())


def _write_shards(folder: Path, drawings: Iterable[Drawing], picture: Callable[[Drawing], bytes | None]) -> int:
    """Shards of the drawings' pictures; returns how many there are: a drawing without a picture is left out."""
    progress = tqdm(_shuffled(drawings), desc=f"rendering {folder.name}", unit="picture")
    rendered = ((drawing, png) for drawing in progress if (png := picture(drawing)))
    count = 0
    while members := list(islice(rendered, SHARD_SIZE)):
        with ShardWriter(folder / f"{count // SHARD_SIZE:05}.tar") as shard:
            for place, (drawing, png) in enumerate(members):
                key = f"{count // SHARD_SIZE:05}{place:04}"  # img2dataset: shard, then place in it
                shard.write(sample_of(key, drawing, png))
        count += len(members)
    for extra in sorted(folder.glob("*.tar"))[-(-count // SHARD_SIZE) :]:
        extra.unlink()  # of an earlier, larger build
    return count


def _rendered(size: int, unseen: Container[bytes] = ()) -> Callable[[Drawing], bytes | None]:
    """Pictures of that size, but for those that are to stay unseen, whatever they are called."""

    def picture(drawing: Drawing) -> bytes | None:
        png = render(drawing.svg, size)
        return None if png in unseen else png

    return picture


def sample_of(key: str, drawing: Drawing, picture: bytes) -> Sample:
    """One sample in img2dataset layout; what is known of the drawing stands under `metadata` in its JSON."""
    with Image.open(io.BytesIO(picture)) as image:
        width, height = image.size
    return Sample(
        key=key,
        picture=picture,
        extension="png",
        caption=drawing.concept.label,
        metadata={
            "key": key,
            "caption": drawing.concept.label,
            "status": "success",
            "width": width,
            "height": height,
            "sha256": hashlib.sha256(picture).hexdigest(),
            "metadata": drawing.metadata,
        },
    )


def _palette_png(png: bytes) -> bytes:
    """The same drawing in 64 colours: flat drawings need no more, and take half the bytes."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.quantize(64, method=Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
    return out.getvalue()
