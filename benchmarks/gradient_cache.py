"""`python -m benchmarks.gradient_cache`: peak memory of training the model of pictogram.toml, by the size of the batch.

Each row is a process of its own, `python -m training train` with the recipe's model, optimiser and losses, for two
steps on drawings made here: its peak is the largest amount of memory that it ever held, everything included, from
Python and torch to data, weights and checkpoint.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.machine import write_report
from model.shards import Sample, ShardWriter
from training.loop.log import read_log

RECIPE = Path(__file__).parent.parent / "training" / "recipes" / "pictogram.toml"
RESULT = Path(__file__).parent / "results" / "gradient_cache.json"
CHUNK = 256
SIZES = (512, 2048, 8192)
AT_ONCE = (512, 2048)
STEPS = 2
SIDE = 64


def write_drawings(folder: Path, pictures: int, seed: int) -> None:
    """A folder with one shard: each concept in two drawings of a few shapes."""
    rng = np.random.default_rng(seed)
    with ShardWriter(folder / "00000.tar") as writer:
        for number in range(pictures):
            image = Image.new("RGBA", (SIDE, SIDE))
            for _ in range(3):
                (x, y), (width, height) = rng.integers(0, SIDE // 2, 2), rng.integers(4, SIDE // 2, 2)
                colour = (*map(int, rng.integers(0, 256, 3)), 255)
                ImageDraw.Draw(image).rectangle((int(x), int(y), int(x + width), int(y + height)), fill=colour)
            file = io.BytesIO()
            image.save(file, "PNG")
            label = f"thing {number // 2}"
            metadata = {"metadata": {"concept": label, "tags": [], "source": ""}}
            writer.write(Sample(f"{number:06}", file.getvalue(), "png", label, metadata))


def measure(batch: int, chunk: int | None, data: Path, out: Path) -> dict[str, object]:
    """Train for `STEPS` steps of `batch` pictures; peak resident memory in GB, and the loss of the last step."""
    settings = [
        f"steps={STEPS}",
        "threads=1",
        f'data.train=[{{path = "{data}/train", per_batch = {batch}}}]',
        f"data.validation={data}/validation",
        "optimizer.warmup_steps=0",
        *([f"chunk_size={chunk}"] if chunk else []),
    ]
    command = [sys.executable, "-m", "training", "train", str(RECIPE), "--out", str(out)]
    child = subprocess.Popen([*command, *(part for setting in settings for part in ("--set", setting))])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    # The kernel counts in KiB, on macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return {"batch": batch, "chunk": chunk, "peak_gb": round(peak, 3), "loss": read_log(out)[-1]["loss"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradient_cache", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="write the result there, as JSON")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        write_drawings(data / "train", max(SIZES), seed=0)
        write_drawings(data / "validation", 100, seed=1)
        for batch, chunk in [*((size, CHUNK) for size in SIZES), *((size, None) for size in AT_ONCE)]:
            rows.append(measure(batch, chunk, data, data / f"{batch}-{chunk}"))
            how = f"in chunks of {chunk}" if chunk else "at once"
            print(f"{batch:6} {how:20} {rows[-1]['peak_gb']:6} GB", flush=True)
    write_report(arguments.out, ("torch",), {"recipe": RECIPE.name, "chunk": CHUNK, "rows": rows})


if __name__ == "__main__":
    main()
