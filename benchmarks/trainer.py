"""`python -m benchmarks.trainer`: samples per second of our trainer and of open_clip's, on the same model and data.

Both start from the same random weights, a small CLIP with open_clip's vocabulary of 49,408 tokens and texts of up to
77, and train it with AdamW, CLIP's loss and batches of the same size on the emoji that `make data` builds. Each side
runs in every way that may be its fastest, two rounds in turn, and the fastest of each are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import write_report
from benchmarks.peer import PINS, interpreter
from training.loop.log import read_log

RESULT = Path(__file__).parent / "results" / "trainer.json"
DATA = Path("runs/pictogram")
MODEL = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 64, "layers": 6, "width": 256, "head_width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 4},
}
BATCH = 256
WARM_UP = 3
"""Steps before those that count: memory is taken, threads and processes start."""
PACKAGES = ("open-clip-torch", "torch")


@dataclass(slots=True)
class Way:
    """One way to train; `samples_per_second` of every step that counts, over all rounds."""

    name: str
    arguments: tuple[str, ...]
    samples_per_second: list[float] = field(default_factory=list)

    @property
    def row(self) -> dict[str, object]:
        lower, median, upper = statistics.quantiles(self.samples_per_second, n=4)
        return {"name": self.name, "samples_per_second": median, "quartiles": [lower, upper]}

    @property
    def median(self) -> float:
        return statistics.median(self.samples_per_second)


class OpenClip:
    """open_clip's trainer, in its own environment."""

    name = "open_clip"

    def __init__(self, folder: Path, description: Path, steps: int) -> None:
        self._folder, self._description, self._steps = folder, description, steps
        self._python = interpreter("open_clip").absolute()
        self.ways = [
            Way("float32", ("--precision", "fp32")),
            Way("autocast to bfloat16", ("--precision", "amp_bf16")),
            Way("bfloat16 weights", ("--precision", "bf16")),
        ]

    def write_model(self, folder: Path) -> None:
        self._call("write", self._description, folder)

    def train(self, way: Way, run: str) -> Iterator[float]:
        """Samples per second of each step."""
        shards = sorted((DATA / "train").glob("*.tar"))
        data = f"{DATA.absolute()}/train/{{{shards[0].stem}..{shards[-1].stem}}}.tar"
        self._call(
            *("train", self._description, *way.arguments, "--train-data", data, "--dataset-type", "webdataset"),
            *("--dataset-resampled", "--train-num-samples", BATCH * self._steps, "--batch-size", BATCH, "--epochs", 1),
            *("--workers", 1, "--log-every-n-steps", 1, "--save-frequency", 0, "--device", "cpu"),
            *("--logs", self._folder, "--name", run),
        )
        log = (self._folder / run / "out.log").read_text("utf-8")
        return (float(speed) for speed in re.findall(r"Batch \(t\): [\d.]+, ([\d.]+)/s", log))

    def _call(self, *arguments: object) -> None:
        _run([self._python, PINS / "open_clip_trainer.py", *arguments], self._folder)


class Ours:
    """Our trainer, from an open_clip checkpoint, on the same shards, read and decoded as it goes, as open_clip does."""

    name = "parallax"

    def __init__(self, folder: Path, model: Path, steps: int) -> None:
        self._folder, self._steps = folder, steps
        self.ways = [Way("autocast to bfloat16", ()), Way("float32", ("precision=float32",))]
        self._recipe = folder / "recipe.toml"
        self._recipe.write_text(
            f"""
steps = {steps}
validate_every = 100000
checkpoint_every = 100000
guard.canary_every = 100000

[data]
validation = "{DATA.absolute()}/validation"

[[data.train]]
path = "{DATA.absolute()}/train"
per_batch = {BATCH}
kind = "stream"

[model]
start = "{model}"

[optimizer]
learning_rate = 1e-4
warmup_steps = 1
""",
            encoding="utf-8",
        )

    def train(self, way: Way, run: str) -> Iterator[float]:
        """Samples per second of each step."""
        out = self._folder / run
        settings = (part for setting in way.arguments for part in ("--set", setting))
        _run([sys.executable, "-m", "training", "train", self._recipe, "--out", out, *settings], Path.cwd())
        return (step["samples_per_second"] for step in read_log(out))


def _run(command: list[object], folder: Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-4000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="write the result there, as JSON")
    parser.add_argument("--steps", type=int, default=15, help="of each run, of which there are ten (15)")
    arguments = parser.parse_args()
    if not any((DATA / "train").glob("*.tar")):
        sys.exit(f"{DATA}/train holds no shards: run make data first")
    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        description = folder / "small.json"
        description.write_text(json.dumps(MODEL), encoding="utf-8")
        theirs = OpenClip(folder, description, arguments.steps)
        theirs.write_model(folder / "checkpoint")
        model = folder / "model"
        _run([sys.executable, "-m", "model", "import", folder / "checkpoint", model], Path.cwd())
        sides = (theirs, Ours(folder, model, arguments.steps))
        for turn in range(2):
            for side in sides:
                for number, way in enumerate(side.ways):
                    speeds = list(side.train(way, f"{side.name}-{number}-{turn}"))[WARM_UP:]
                    way.samples_per_second += speeds
                    print(f"{side.name:10} {way.name:22} {statistics.median(speeds):8.1f} samples/s", flush=True)
    best = {side.name: max(side.ways, key=lambda way: way.median) for side in sides}
    ratio = best["parallax"].median / best["open_clip"].median
    print(f"ratio of the best: {ratio:.2f}")
    report = {
        "model": MODEL,
        "batch": BATCH,
        "steps_a_run": arguments.steps,
        "ways": {side.name: [way.row for way in side.ways] for side in sides},
        "ratio": ratio,
    }
    write_report(arguments.out, PACKAGES, report)


if __name__ == "__main__":
    main()
