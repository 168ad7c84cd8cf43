"""`python -m benchmarks.service_start`: how long the service takes to be ready, and what it keeps in memory idle.

Ours with the shipped model and the demo gallery, which a first start adds that is not counted: from the start of the
process until `/readyz` answers 200, and the resident memory once nothing is left to do. Beside it infinity and
clip-retrieval's back end with a small model of random weights, since they do not know the form of the shipped one, and
as many vectors as the demo gallery has; and rclip, as published.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.gallery.demo import SHARD
from app.settings import SHIPPED_MODEL
from benchmarks.ingest import infinity_service
from benchmarks.machine import write_report
from benchmarks.serving import clip_retrieval
from benchmarks.serving.collection import collection
from benchmarks.serving.models import write_small_model
from benchmarks.serving.server import Server, free_port, running
from model import load
from model.exporting.huggingface import export_huggingface
from model.folder import read_folder
from model.shards import read_shard

RESULT = Path(__file__).parent / "results" / "service_start.json"
FOLDER = Path("runs/service_start")
OURS, INFINITY, CLIP_RETRIEVAL = "Parallax", "infinity", "clip-retrieval"
RCLIP_SECONDS = 3.7
"""As its users measured it: github.com/yurijmikhalevich/rclip, issue 7."""
MOST_SECONDS, MOST_MB = 2.0, 250.0
PACKAGES = ("fastapi", "numpy", "openvino", "torch")

Start = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """Of several starts: seconds until the service was ready, and 10⁶ bytes that it kept."""

    seconds: tuple[float, ...]
    resident_mb: tuple[float, ...]

    def report(self) -> dict[str, Any]:
        lower, median, upper = statistics.quantiles(self.seconds, n=4)
        return {
            "starts": len(self.seconds),
            "seconds": {"median": median, "lower": lower, "upper": upper},
            "resident_mb": statistics.median(self.resident_mb),
        }


def ours(data: Path, log: Path) -> AbstractContextManager[Server]:
    """Our service with all its defaults."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    command += ["--data", data, "--model", SHIPPED_MODEL]
    return running(command, port=port, ready="/readyz", log=log)


def started(start: Start) -> tuple[float, float]:
    """Seconds, and 10⁶ bytes."""
    with start() as server:
        server.wait_until_idle(60)
        return server.start_seconds, server.resident_mb


def measure(starts: Mapping[str, Start], rounds: int) -> dict[str, Started]:
    """Each service started so many times, in turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    for _ in range(rounds):
        for name, start in starts.items():
            taken[name].append(started(start))
    return {
        name: Started(seconds=tuple(seconds for seconds, _ in found), resident_mb=tuple(mb for _, mb in found))
        for name, found in taken.items()
    }


def peers() -> dict[str, Start]:
    """infinity and clip-retrieval, with what they load made anew."""
    model, hugging_face, index = FOLDER / "model", FOLDER / "huggingface", FOLDER / "clip-retrieval"
    pictures = sum(1 for _ in read_shard(SHARD))
    write_small_model(model, FOLDER / "open_clip")
    export_huggingface(read_folder(model), hugging_face)
    clip_retrieval.build(index, collection(load(model, "onnx"), pictures))
    return {
        INFINITY: partial(infinity_service, hugging_face.resolve(), FOLDER / "infinity.log"),
        CLIP_RETRIEVAL: partial(clip_retrieval.serving, index, FOLDER / "open_clip", log=FOLDER / "clip-retrieval.log"),
    }


def plot(report: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    services = report["services"]
    figure, (start, memory) = plt.subplots(1, 2, figsize=(9, 2.4), layout="constrained")
    seconds = {name: told["seconds"]["median"] for name, told in services.items()} | {
        "rclip (published)": RCLIP_SECONDS
    }
    megabytes = {name: told["resident_mb"] for name, told in services.items()}
    for axes, shown, target, unit, shape in (
        (start, seconds, MOST_SECONDS, "seconds until ready", "%.1f"),
        (memory, megabytes, MOST_MB, "MB resident, idle", "%.0f"),
    ):
        names = sorted(shown, key=lambda name: -shown[name])
        colours = ["#2f6fde" if name == OURS else "#8b949e" for name in names]
        bars = axes.barh(names, [shown[name] for name in names], 0.6, color=colours)
        axes.axvline(target, color="#57606a", linestyle=":", linewidth=1)
        for label in axes.bar_label(bars, fmt=shape, padding=3, fontsize=9):
            label.set_bbox({"facecolor": "white", "linewidth": 0, "pad": 1})  # above the dotted line
        axes.set_xlabel(f"{unit} (dotted: the target)")
        axes.set_xlim(0, max(shown.values()) * 1.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service_start", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes, as JSON, and a plot beside it")
    parser.add_argument("--quick", action="store_true", help="two starts of ours alone, to see that it works")
    arguments = parser.parse_args()

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    start = partial(ours, FOLDER / "data", FOLDER / "parallax.log")
    print("the first start adds the demo gallery", file=sys.stderr)
    started(start)
    found = measure({OURS: start} if arguments.quick else {OURS: start, **peers()}, 2 if arguments.quick else 5)
    report: dict[str, Any] = {
        "services": {name: told.report() for name, told in found.items()},
        "published": {"rclip": {"seconds": RCLIP_SECONDS, "source": "github.com/yurijmikhalevich/rclip/issues/7"}},
        "targets": {"seconds": MOST_SECONDS, "resident_mb": MOST_MB},
    }
    for name, told in report["services"].items():
        print(f"{name:16} ready after {told['seconds']['median']:5.2f} s, {told['resident_mb']:6.0f} MB idle")
    write_report(arguments.out, PACKAGES, report)
    plot(report, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
