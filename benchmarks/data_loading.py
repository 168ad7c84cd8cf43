"""`python -m benchmarks.data_loading`: the share of a training run's time in which it waits for data.

Two runs of the whole training loop, with the model, the batch and the threads of `training/recipes/pictogram.toml`: one
on the recipe's own drawings, which are held in memory and varied ahead of each step; one on photographs of 640 × 480
pixels in shards, which another process reads, decodes and varies. The drawings are those that `make data` builds.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import write_report
from model.shards import Sample, ShardWriter
from training.config import TrainingConfig, read_config
from training.loop.allocator import keep_freed_memory
from training.loop.log import read_log
from training.loop.run import Run

RECIPE = Path("training/recipes/pictogram.toml")
STEPS = 50
WARM_UP = 5
"""Steps before those that count: memory is taken, threads and processes start."""
PHOTOGRAPHS = 4_096
DIFFERENT = 256
"""Photographs that are made; the others are copies, which take as long to read and decode."""
SHARDS = 16
PACKAGES = ("numpy", "pillow", "torch")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of `steps` steps: seconds of one, the share of them spent waiting for the batch, the largest of one step.

    `batch_s` is how long one batch takes when nothing else runs, and so what each step would wait without the
    processes and threads that work ahead.
    """

    name: str
    steps: int
    batch: int
    picture_size: int
    step_s: float
    waiting_share: float
    waiting_largest: float
    batch_s: float
    samples_per_second: float


def measure(name: str, config: TrainingConfig, folder: Path) -> Waiting:
    """Train, and read the log of the steps after the warm-up."""
    run = Run(config, folder)
    batch_s = alone(run)
    run.train()
    steps = read_log(folder)[WARM_UP:]
    batch = config.data.batch_size
    seconds = [batch / step["samples_per_second"] for step in steps]
    waited = [step["waiting"] * whole for step, whole in zip(steps, seconds, strict=True)]
    return Waiting(
        name=name,
        steps=len(steps),
        batch=batch,
        picture_size=config.model.preprocess.size,
        step_s=sum(seconds) / len(seconds),
        waiting_share=sum(waited) / sum(seconds),
        waiting_largest=max(step["waiting"] for step in steps),
        batch_s=batch_s,
        samples_per_second=batch * len(steps) / sum(seconds),
    )


def alone(run: Run, batches: int = 10) -> float:
    """Seconds of one batch when no step runs beside it, after as many as may have been made ahead."""
    made = run.feed.batches(0, {})
    for _ in range(WARM_UP):
        next(made)
    start = time.perf_counter()
    for _ in range(batches):
        next(made)
    seconds = time.perf_counter() - start
    made.close()
    return seconds / batches


def write_photographs(folder: Path) -> None:
    """Shards of JPEG pictures with as much detail as photographs have: noise of every scale, the coarse strongest."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = [_photograph(rng) for _ in range(DIFFERENT)]
    for shard in range(SHARDS):
        with ShardWriter(folder / f"{shard:05}.tar") as writer:
            for number in range(shard, PHOTOGRAPHS, SHARDS):
                caption = f"a photograph of thing {number}"
                file = files[number % DIFFERENT]
                writer.write(Sample(f"{number:09}", file, "jpg", caption, {"caption": caption}))


def _photograph(rng: np.random.Generator) -> bytes:
    whole = np.zeros((480, 640, 3), dtype=np.float32)
    for scale, strength in ((160, 90), (32, 50), (8, 25), (2, 12)):
        noise = rng.integers(0, 256, (480 // scale, 640 // scale, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
        whole += (np.asarray(layer, dtype=np.float32) - 128) * (strength / 74)
    out = io.BytesIO()
    Image.fromarray((whole + 128).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def streamed(config: TrainingConfig, photographs: Path) -> TrainingConfig:
    """The same run on photographs."""
    tree = config.model_dump()
    tree["data"]["train"] = [{"path": photographs, "per_batch": config.data.batch_size, "kind": "stream"}]
    return TrainingConfig.model_validate(tree)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_loading", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=RECIPE, help=f"configuration of the run ({RECIPE})")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one key of it")
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `python -m training train` does

    steps = STEPS + WARM_UP
    short = [f"steps={steps}", f"validate_every={steps}", f"checkpoint_every={steps}", "optimizer.warmup_steps=5"]
    config = read_config(arguments.recipe, [*short, *arguments.set])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder, "photographs")
        write_photographs(photographs)
        for name, its in (("drawings in memory", config), ("photographs, streamed", streamed(config, photographs))):
            row = measure(name, its, Path(folder, name.partition(" ")[0].strip(",")))
            print(
                f"{row.name:24} {row.step_s:7.3f} s a step, {row.waiting_share:6.2%} of it waiting (the most "
                f"{row.waiting_largest:.2%}), {row.batch_s:.3f} s a batch alone, "
                f"{row.samples_per_second:,.0f} samples/s",
                flush=True,
            )
            rows.append(asdict(row))
    if arguments.out:
        write_report(arguments.out, PACKAGES, {"threads": torch.get_num_threads(), "measures": rows})


if __name__ == "__main__":
    main()
