"""Writes `sample/`, the small real data set that the tests train on: `python tests/data/make_sample.py`.

50 concepts in four styles, all under Apache-2.0 (noto, noto-v1, fxemoji) or MIT (fluent-emoji-flat): three styles to
train on, one to validate on.
"""

from collections import defaultdict
from pathlib import Path

from model.shards import ShardWriter
from training.prepare.build import install_packages, sample_of
from training.prepare.drawings import Drawing, render
from training.prepare.pictogram import read_drawings

STYLES = ("noto", "noto-v1", "fluent-emoji-flat", "fxemoji")
VALIDATION = "fxemoji"
CONCEPTS = 50
SIZE = 48


def main() -> None:
    by_concept: dict[str, list[Drawing]] = defaultdict(list)
    for drawing in read_drawings(install_packages()):
        if drawing.style in STYLES:
            by_concept[drawing.concept.hexcode].append(drawing)
    complete = [drawings for drawings in by_concept.values() if len(drawings) == len(STYLES)]
    chosen = [drawing for drawings in complete[:: len(complete) // CONCEPTS][:CONCEPTS] for drawing in drawings]
    for split in ("train", "validation"):
        members = [drawing for drawing in chosen if (drawing.style == VALIDATION) == (split == "validation")]
        with ShardWriter(Path(__file__).parent / "sample" / split / "00000.tar") as shard:
            for number, drawing in enumerate(members):
                shard.write(sample_of(f"{number:09}", drawing, render(drawing.svg, SIZE)))


if __name__ == "__main__":
    main()
