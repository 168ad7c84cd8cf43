"""Photographs of 12 megapixels, as a camera writes them, from the photographs in Debian's wallpaper packages.

The packages are downloaded, not installed. Each of their photographs is cropped to 4 : 3 and scaled to 4000 × 3000, is
given a sensor's noise, which their makers had smoothed away and which makes most of a camera's file, and is written as
a JPEG of quality 90 with the chroma halved both ways. What is asked for beyond their number are other crops of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

PACKAGES = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds")
SIDES = (4000, 3000)
_NOT_PHOTOGRAPHS = (
    "abstract",
    "desktop",
    "Fossa",
    "Infinite-Sea",
    "Painting-Colors",
    "Picture_",
    "analogpattern",
    "umang",
)
_LEAST = 4_000_000
"""Pixels of a photograph that is worth being scaled up to 12 million."""
_NOISE = 5.0
"""Standard deviation, of 255: a phone's picture indoors."""


def photographs(folder: Path, count: int) -> list[Path]:
    """So many photographs in a folder, made there unless they are there already.

    Raises CalledProcessError or FileNotFoundError where there is no apt-get, or no such package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        print(f"making {len(missing)} photographs in {folder}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as unpacked:
            sources = _sources(Path(unpacked))
            for number in missing:
                made = _photograph(sources[number % len(sources)], number, number // len(sources))
                unfinished = paths[number].with_suffix(".tmp")
                made.save(unfinished, "JPEG", quality=90)
                unfinished.replace(paths[number])
    return paths


def _sources(folder: Path) -> list[Path]:
    """The packages' photographs that are large enough."""
    subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder / "files"], check=True)
    found = sorted(path for path in (folder / "files").rglob("*.jpg") if not path.is_symlink())
    chosen = [path for path in found if not any(word in str(path) for word in _NOT_PHOTOGRAPHS)]
    return [path for path in chosen if _pixels(path) >= _LEAST]


def _pixels(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def _photograph(source: Path, seed: int, turn: int) -> Image.Image:
    """A photograph; with each `turn` a smaller part of the source, from another corner."""
    random = np.random.default_rng(seed)
    with Image.open(source) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    sides = SIDES if image.width >= image.height else SIDES[::-1]
    share = 0.9**turn
    corner = tuple(random.uniform(0, 1, 2)) if turn else (0.5, 0.5)
    part = (round(image.width * share), round(image.height * share))
    left, top = (round((whole - kept) * at) for whole, kept, at in zip(image.size, part, corner, strict=True))
    cropped = image.crop((left, top, left + part[0], top + part[1]))
    scaled = ImageOps.fit(cropped, sides, Image.Resampling.LANCZOS)
    noise = random.standard_normal((sides[1], sides[0], 3), dtype=np.float32) * np.float32(_NOISE)
    return Image.fromarray((np.asarray(scaled, dtype=np.float32) + noise).clip(0, 255).round().astype(np.uint8))
