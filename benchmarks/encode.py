"""`python -m benchmarks.encode`: pictures and a query through a CLIP ViT-B/32, by ours and by what a user has instead.

All sides hold the same random weights and are given the same pixels; each is a process of its own, and they take turns,
call by call. Beside each speed stands what it costs: the smallest cosine to float32 and the overlap of the ten nearest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.gallery.demo import SHARD
from app.settings import SHIPPED_MODEL
from benchmarks.machine import write_report
from benchmarks.peer import interpreter
from benchmarks.timing import Timing
from model import load
from model.clip import CLIP
from model.config import ModelConfig, PreprocessConfig, TextConfig, TokenizationConfig, ViTConfig
from model.export import agreement, export_onnx
from model.exporting.graph import image_graph
from model.exporting.open_clip import export_open_clip
from model.folder import ModelFolder, read_folder, write_folder
from model.picture import decode
from model.precision import Agreement, read_precisions
from model.preprocess import preprocess
from model.shards import read_shard
from model.tokenizer import Tokenizer
from model.vocabulary import clip_tokenizer_json

RESULT = Path(__file__).parent / "results" / "encode.json"
FOLDER = Path("runs/encode")
ICONS = Path("runs/icons/train")
SIDE = Path(__file__).parent / "peers" / "encoding_side.py"
PEERS = {
    "open_clip": "open_clip",
    "torch bfloat16": "open_clip",
    "ONNX Runtime float32": "onnxruntime",
    "ONNX Runtime int8": "onnxruntime",
    "OpenVINO bfloat16": None,
    "ours": None,
}
"""The sides, and the environment of each; None is our own."""
PLAIN = ("torch bfloat16", "ONNX Runtime int8", "OpenVINO bfloat16")
ROUNDS = {1: 24, 8: 12, 32: 8}
"""Pictures a call: calls."""
TEXT_ROUNDS = 40
CAPTION = "a brown dog that runs along the beach"
PAUSE_S = 0.25
"""Between two calls: the threads of the last one spin for a while."""
COMPARED = 256
"""Pictures whose vectors every side is asked for."""
PACKAGES = ("numpy", "open-clip-torch", "openvino", "torch")

Vectors = NDArray[np.float32]


def random_model(folder: Path) -> ModelFolder:
    """A ViT-B/32 in our form, exported, and in open_clip's, and the plain graph of its image tower."""
    tokenization = TokenizationConfig(cleaning="clip")
    text = TextConfig(
        width=512, layers=12, heads=8, vocab_size=49_408, context_length=77, attention="causal", pooling="first_eot",
        eot_id=49_407,
    )  # fmt: skip
    vision = ViTConfig(image_size=224, patch_size=32, width=768, layers=12, heads=12, patch_bias=False, input_norm=True)
    config = ModelConfig(name="ViT-B-32", embedding_dim=512, vision=vision, text=text, tokenization=tokenization)
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    torch.manual_seed(0)
    model = CLIP(config).eval()
    made = write_folder(
        folder / "ours",
        config,
        PreprocessConfig(size=224, image_mean=mean, image_std=deviation, resize_mode="crop"),
        Tokenizer.from_bytes(clip_tokenizer_json(None), text.context_length, tokenization),
        {name: value.numpy() for name, value in model.state_dict().items()},
        "# ViT-B/32 of random weights\n",
    )
    for note in export_onnx(made)[1]:
        print(note, file=sys.stderr)
    export_open_clip(made, folder / "open_clip")
    (folder / "image.onnx").write_bytes(image_graph(model, config).SerializeToString())
    return made


class Side:
    """One side's process. Context manager."""

    def __init__(self, name: str, folder: Path) -> None:
        environment = PEERS[name]
        python = interpreter(environment) if environment else Path(sys.executable)
        command: list[str | Path] = [python, SIDE, name, folder]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        self._answer()

    def seconds(self, **asked: object) -> float:
        """Of one call."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        return line


def in_turns(sides: Mapping[str, Side], rounds: int, **asked: object) -> dict[str, Timing]:
    """Time a call of every side, round by round; the first two rounds warm up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 2):
        for name, side in sides.items():
            time.sleep(PAUSE_S)
            took = side.seconds(**asked)
            if number >= 2:
                times[name].append(took)
    return {name: _timing(taken) for name, taken in times.items()}


def _timing(times: Sequence[float]) -> Timing:
    lower, median, upper = statistics.quantiles(times, n=4)
    return Timing(median_s=median, lower_s=lower, upper_s=upper, calls=len(times))


def speeds(sides: Mapping[str, Side], rounds: Mapping[int, int], text_rounds: int) -> dict[str, Any]:
    """Of the image tower by batch, and of a query; and how many times as fast we are."""
    report: dict[str, Any] = {"image": {}, "text": {}}
    for batch, calls in rounds.items():
        timings = in_turns(sides, calls, image=[0, batch])
        ours = timings["ours"].median_s
        plain = min(timings[name].median_s for name in PLAIN)
        report["image"][batch] = {
            "sides": {name: asdict(timing) for name, timing in timings.items()},
            "times open_clip": timings["open_clip"].median_s / ours,
            "times the fastest plain": plain / ours,
        }
        for name, timing in timings.items():
            milliseconds = timing.median_s / batch * 1e3
            print(f"{batch:3} pictures  {name:22} {milliseconds:8.1f} ms each {1e3 / milliseconds:8.1f} a second")
        print(f"{'':13} {timings['open_clip'].median_s / ours:.2f} × open_clip, {plain / ours:.2f} × the fastest plain")
    timings = in_turns({name: sides[name] for name in ("open_clip", "ours")}, text_rounds, text=CAPTION)
    ratio = timings["open_clip"].median_s / timings["ours"].median_s
    report["text"] = {
        "caption": CAPTION,
        "sides": {name: asdict(timing) for name, timing in timings.items()},
        "times open_clip": ratio,
    }
    for name, timing in timings.items():
        print(f"a query       {name:22} {timing.median_s * 1e3:8.2f} ms")
    print(f"{'':13} {ratio:.2f} × open_clip")
    return report


def accuracy_of_sides(sides: Mapping[str, Side], folder: Path, count: int, reference: Vectors) -> dict[str, Agreement]:
    """Every side's vectors of the first pictures, 32 at a time, against those of torch in float32."""
    told = {}
    for name, side in sides.items():
        parts = []
        for start in range(0, count, 32):
            side.seconds(image=[start, min(start + 32, count)], to=str(folder / "vectors.npy"))
            parts.append(np.load(folder / "vectors.npy"))
        found = np.concatenate(parts)
        told[name] = agreement(found, reference, found, reference)
        print(f"{name:36} {told[name]}")
    return told


def accuracy_of_ours(folder: ModelFolder, pictures: Iterable[bytes]) -> tuple[int, Agreement]:
    """How many pictures, and how the fast runtime agrees with the reference on them."""
    fast, reference = load(folder.path, "onnx"), load(folder.path, "torch")
    found, right = [], []
    for batch in _batches(pictures):
        rows = [preprocess(decode(data).image, folder.preprocess) for data in batch]
        found.append(fast.encode_pixels(rows))
        right.append(reference.encode_pixels(rows))
    ours, theirs = np.concatenate(found), np.concatenate(right)
    return len(ours), agreement(ours, theirs, ours, theirs)


def _batches(pictures: Iterable[bytes]) -> Iterator[list[bytes]]:
    them = iter(pictures)
    while batch := list(islice(them, 32)):
        yield batch


def demo(count: int) -> Iterator[bytes]:
    """Of the demo gallery, evenly."""
    pictures = [sample.picture for sample in read_shard(SHARD)]
    yield from pictures[:: max(1, len(pictures) // count)][:count]


def icons(count: int) -> Iterator[bytes]:
    """Of the icons that `make data` draws, evenly over its shards."""
    shards = sorted(ICONS.glob("*.tar"))
    for number, shard in enumerate(shards):
        share = count * (number + 1) // len(shards) - count * number // len(shards)
        yield from (sample.picture for sample in islice(read_shard(shard), share))


def plot(report: Mapping[str, Any], path: Path) -> None:
    """Milliseconds of a picture by side and batch, and of a query."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (image, text) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(3, 1), layout="constrained")
    batches = list(report["image"])
    width = 0.8 / len(PEERS)
    for place, name in enumerate(PEERS):
        timings = [report["image"][batch]["sides"][name] for batch in batches]
        each = [timing["median_s"] / batch * 1e3 for timing, batch in zip(timings, batches, strict=True)]
        at = [number + (place - len(PEERS) / 2 + 0.5) * width for number in range(len(batches))]
        bars = image.bar(
            at, each, width, label=name, color="#2f6fde" if name == "ours" else plt.cm.Greys(0.75 - place / 9)
        )
        image.bar_label(bars, fmt="%.0f", fontsize=7)
    image.set_xticks(range(len(batches)), [f"{batch} at a time" for batch in batches])
    image.set_ylabel("ms a picture")
    image.set_title("ViT-B/32, a picture", loc="left")
    image.legend(frameon=False, fontsize=8)
    queries = report["text"]["sides"]
    bars = text.bar(
        list(queries), [timing["median_s"] * 1e3 for timing in queries.values()], 0.6, color=["#8b949e", "#2f6fde"]
    )
    text.bar_label(bars, fmt="%.1f", fontsize=8)
    text.set_ylabel("ms")
    text.set_title("a query of 8 words", loc="left")
    for axes in (image, text):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=RESULT, help="write the result there, as JSON, and a plot beside it"
    )
    parser.add_argument("--quick", action="store_true", help="a few calls and pictures, to see that it works")
    parser.add_argument("--pictures", type=int, default=1000, help="of each gallery that accuracy is measured on")
    parser.add_argument("--reuse", action="store_true", help=f"the models that the last run left in {FOLDER}")
    arguments = parser.parse_args()
    rounds = dict.fromkeys(ROUNDS, 2) if arguments.quick else ROUNDS
    compared, pictures = (64, min(64, arguments.pictures)) if arguments.quick else (COMPARED, arguments.pictures)

    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = read_folder(FOLDER / "ours") if arguments.reuse else random_model(FOLDER)
    pixels = np.stack([preprocess(decode(data).image, folder.preprocess) for data in demo(compared)])
    np.save(FOLDER / "pixels.npy", pixels)
    reference = load(folder.path, "torch").encode_pixels(list(pixels))
    with ExitStack() as stack:
        sides = {}
        for name in PEERS:
            sides[name] = Side(name, FOLDER.resolve())
            stack.callback(sides[name].close)
        report = speeds(sides, rounds, 4 if arguments.quick else TEXT_ROUNDS)
        of_sides = accuracy_of_sides(sides, FOLDER, compared, reference)
    report["accuracy of sides"] = {name: found.model_dump() for name, found in of_sides.items()}
    report["accuracy"] = accuracies(folder, pictures)
    chosen = read_precisions(folder.path, folder.fingerprint)
    report["export"] = chosen.model_dump() if chosen else None
    write_report(arguments.out, PACKAGES, report)
    plot(report, arguments.out.with_suffix(".png"))


def accuracies(random: ModelFolder, pictures: int) -> list[dict[str, object]]:
    """Of the fast runtime, by model and gallery. The shipped model is so small that it is measured on more."""
    rows: list[dict[str, object]] = []
    for folder, count in ((random, pictures), (read_folder(SHIPPED_MODEL), 5 * pictures)) if pictures else ():
        for gallery in (demo, icons):
            some = list(gallery(count))
            if not some:
                print(f"{gallery.__name__}: there are none; `make data` draws them", file=sys.stderr)
                continue
            number, found = accuracy_of_ours(folder, some)
            print(f"{folder.config.name:12} {gallery.__name__:6} {number:6} pictures: {found}")
            rows.append(
                {"model": folder.config.name, "gallery": gallery.__name__, "pictures": number, **found.model_dump()}
            )
    return rows


if __name__ == "__main__":
    main()
