"""`python -m benchmarks`: speed of the shipped model, of search and of attention's forms, as tables and as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from app.index.exact import Index
from app.settings import SHIPPED_MODEL
from benchmarks import attention
from benchmarks.machine import write_report
from benchmarks.timing import Timing, take
from model import Encoder, load

SIDE = 512
BATCHES = (1, 8, 32)
COLLECTIONS = (1_000, 10_000, 100_000)
QUERY = "a cat with heart shaped eyes"
PACKAGES = ("faiss-cpu", "numpy", "openvino", "pillow", "torch")


def encoding(encoder: Encoder) -> Iterator[tuple[str, int, Timing]]:
    """(what, pictures or texts a call, timing) of a model on one runtime; the pictures are noise, ready to encode."""
    rows = [encoder.preprocess(picture) for picture in noise_pictures(max(BATCHES))]
    for size in BATCHES:
        timing = take(partial(encoder.encode_pixels, rows[:size]))
        yield f"{encoder.runtime}: encode pictures, {size} at a time", size, timing
    yield f"{encoder.runtime}: encode a query of 6 words", 1, take(partial(encoder.encode_texts, [QUERY]))


def preprocessing(encoder: Encoder) -> Iterator[tuple[str, int, Timing]]:
    """A decoded picture to a row of the model's input."""
    yield f"preprocess a picture of {SIDE} pixels", 1, take(partial(encoder.preprocess, noise_pictures(1)[0]))


def noise_pictures(count: int) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(count)]


def searching(dim: int) -> Iterator[tuple[str, int, Timing]]:
    """The ten nearest among random unit vectors, one query at a time."""
    noise = np.random.default_rng(0)
    for size in COLLECTIONS:
        vectors = noise.standard_normal((size, dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = Index(dim).changed((), range(size), vectors)
        yield f"search {size:,} vectors", 1, take(partial(index.search, vectors[0], 10))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="model folder (the shipped one)")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    arguments = parser.parse_args()

    rows: list[dict[str, object]] = []
    onnx, torch = load(arguments.model, runtime="onnx"), load(arguments.model, runtime="torch")
    print(f"{'':40} {'median':>12} {'middle half':>22} {'per second':>12}")
    # torch comes last: its threads keep spinning for a while after each call, and would slow what comes next.
    for measures in (preprocessing(onnx), encoding(onnx), searching(onnx.dim), encoding(torch)):
        for name, size, timing in measures:
            spread = f"{timing.lower_s * 1e3:.3f}-{timing.upper_s * 1e3:.3f}"
            print(
                f"{name:40} {timing.median_s * 1e3:9.3f} ms {spread:>19} ms {size / timing.median_s:12,.1f}", flush=True
            )
            rows.append({"name": name, "items_per_call": size, **asdict(timing)})

    print()
    ways = attention.report(seconds=1.0)

    if arguments.out:
        write_report(arguments.out, PACKAGES, {"measures": rows, "attention": ways})
        print(f"written to {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
