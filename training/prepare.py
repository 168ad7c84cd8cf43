"""Building data sets as WebDataset shards: render every drawing, write each split's shards in img2dataset layout."""

import hashlib
import io
import subprocess
from collections.abc import Iterable
from pathlib import Path

import resvg_py
from PIL import Image
from tqdm import tqdm

from model.errors import ParallaxError
from model.shards import Sample, ShardWriter
from training import icons, pictogram
from training.drawings import Drawing
from training.icons import read_icons
from training.pictogram import SPLITS, read_drawings, split_of
from training.restyle import outlined

PACKAGES = Path(__file__).parent / "sources"
SHARD_SIZE = 1000
PICTOGRAM_SIZE = 96
ICON_SIZE = 64
GALLERY_SIZE = 128


class PrepareError(ParallaxError):
    """A data set cannot be built."""


def install_packages() -> Path:
    """Fetch the pinned npm packages where they are missing; returns their `node_modules` folder."""
    modules = PACKAGES / "node_modules"
    if not all((modules / "@iconify-json" / style).is_dir() for style in (*pictogram.LICENCES, *icons.LICENCES)):
        try:
            subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=PACKAGES, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PrepareError(
                f"The drawings come from npm packages, and `npm ci` in {PACKAGES} failed: {error}"
            ) from error
    return modules


def prepare_pictogram(folder: Path) -> dict[str, int]:
    """Write every split of the pictogram set below `folder`; returns the number of pictures of each split."""
    drawings = list(read_drawings(install_packages()))
    counts = {}
    for split in SPLITS:
        members = [drawing for drawing in drawings if split_of(drawing) == split]
        if split == "train":
            members += [redrawn for drawing in members if (redrawn := outlined(drawing))]
        _write_shards(folder / split, members, PICTOGRAM_SIZE)
        counts[split] = len(members)
    return counts


def prepare_icons(folder: Path) -> dict[str, int]:
    """Write the icon set, all of it for training, below `folder`/train."""
    drawings = list(read_icons(install_packages()))
    _write_shards(folder / "train", drawings, ICON_SIZE)
    return {"train": len(drawings)}


def prepare_gallery(folder: Path) -> dict[str, int]:
    """Write the demo gallery, every Twemoji drawing, as the one shard `folder`/twemoji.tar."""
    drawings = _shuffled(drawing for drawing in read_drawings(install_packages()) if drawing.style == "twemoji")
    progress = tqdm(total=len(drawings), desc="rendering", unit="picture")
    with ShardWriter(folder / "twemoji.tar") as shard:
        for number, drawing in enumerate(drawings):
            picture = _palette_png(render(drawing.svg, GALLERY_SIZE))
            shard.write(sample_of(f"{number:05}", drawing, picture, GALLERY_SIZE))
            progress.update()
    return {"twemoji": len(drawings)}


DATA_SETS = {"pictogram": prepare_pictogram, "icons": prepare_icons, "gallery": prepare_gallery}


def _shuffled(drawings: Iterable[Drawing]) -> list[Drawing]:
    """In a fixed order that mixes styles and groups, so that any part of a data set is a fair sample of it."""
    return sorted(drawings, key=lambda drawing: hashlib.sha256(f"{drawing.style}:{drawing.name}".encode()).digest())


def render(svg: str, size: int) -> bytes:
    """SVG document → PNG with transparency, scaled to fit a square of `size` pixels."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))


def _write_shards(folder: Path, drawings: Iterable[Drawing], size: int) -> None:
    members = _shuffled(drawings)
    progress = tqdm(total=len(members), desc=f"rendering {folder.name}", unit="picture")
    for number, start in enumerate(range(0, len(members), SHARD_SIZE)):
        with ShardWriter(folder / f"{number:05}.tar") as shard:
            for offset, drawing in enumerate(members[start : start + SHARD_SIZE]):
                key = f"{number:05}{offset:04}"  # img2dataset: shard, then place in it
                shard.write(sample_of(key, drawing, render(drawing.svg, size), size))
                progress.update()
    progress.close()


def sample_of(key: str, drawing: Drawing, picture: bytes, size: int) -> Sample:
    """One sample in img2dataset layout; what is known of the drawing stands under `metadata` in its JSON."""
    return Sample(
        key=key,
        picture=picture,
        extension="png",
        caption=drawing.concept.label,
        metadata={
            "key": key,
            "caption": drawing.concept.label,
            "status": "success",
            "width": size,
            "height": size,
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
