"""`python -m benchmarks.figures`: draw the figures of docs/model.md, from forward passes of trained models.

Small models are taught first where the work folder lacks them, which takes some minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.figures import attention, block, clip, embedding, measures, stream
from benchmarks.figures.look import save
from benchmarks.figures.studio import Studio

FIGURES: Mapping[str, Callable[[Studio], Figure]] = {
    "attention": attention.one_head,
    "ways": measures.ways,
    "heads": attention.many_heads,
    "decoder": attention.decoder,
    "embeddings": embedding.patches_and_words,
    "positions": embedding.positions,
    "activations": block.activations,
    "residuals": block.residuals_and_norms,
    "depth": block.depth,
    "output": block.output,
    "joint": stream.joint,
    "vit": clip.vit,
    "resnet": clip.resnet,
    "similarity": clip.similarity,
    "loss": clip.loss,
    "recurrent": stream.recurrent,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figures that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(FIGURES)} (all)")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="folder of the PNGs (docs/figures)")
    parser.add_argument("--work", type=Path, default=Path("runs/figures"), help="keeps what was taught (runs/figures)")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in FIGURES]
    if unknown:
        parser.error(f"no figure here is called {', '.join(unknown)}")
    studio = Studio(parsed.work)
    for name in parsed.names or FIGURES:
        path = parsed.out / f"{name}.png"
        save(FIGURES[name](studio), path)
        print(f"{path}  {path.stat().st_size / 1024:.0f} kB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
