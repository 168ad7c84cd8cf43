"""Fine-tuning the shipped model on icon sets that it was not trained on: what it gains there, and what it forgets.

`python -m benchmarks.finetune [--data runs] [--out benchmarks/results/finetune.json]`. Each set is written as a folder
of captioned pictures and split in two by a hash; `python -m training finetune` does the rest, as a user would run it.
The canary are emoji of a style that the model was not trained on. Some minutes a set on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.machine import write_report
from model.shards import read_shard

mpl.use("Agg")
from matplotlib import pyplot as plt

SETS = ("lucide", "streamline-color")
DIRECTIONS = {"text_to_picture": "text → picture", "picture_to_text": "picture → text"}
RANKS = (1, 5, 10)


def write_pictures(shards: Path, folder: Path, most: int | None) -> int:
    """A folder of pictures with captions beside them, as a user may have it; returns how many there are."""
    folder.mkdir(parents=True)
    count = 0
    for shard in sorted(shards.glob("*.tar")):
        for sample in read_shard(shard):
            if most is not None and count == most:
                return count
            (folder / f"{sample.key}.{sample.extension}").write_bytes(sample.picture)
            (folder / f"{sample.key}.txt").write_text(sample.caption, encoding="utf-8")
            count += 1
    return count


def finetune(model: Path, pictures: Path, canary: Path, out: Path, settings: list[str]) -> dict[str, Any]:
    """The result of the command."""
    command = [sys.executable, "-m", "training", "finetune", str(model), str(pictures), "--out", str(out), "--json"]
    command += ["--canary", str(canary), "--held-out", "0.5"]
    command += [part for setting in settings for part in ("--set", setting)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def draw(sets: dict[str, Any], path: Path) -> None:
    """Recall before and after, one panel a set and direction."""
    figure, panels = plt.subplots(
        len(sets), 2, figsize=(9, 3.2 * len(sets)), layout="constrained", sharey=True, squeeze=False
    )
    for row, (name, result) in zip(panels, sets.items(), strict=True):
        for panel, (key, direction) in zip(row, DIRECTIONS.items(), strict=True):
            for number, data in enumerate(result["before"]):
                colour = f"C{number}"
                for when, style in (("before", ":"), ("after", "-")):
                    values = [result[when][data][key][f"R@{k}"] for k in RANKS]
                    panel.plot(RANKS, values, style, marker="o", color=colour, label=f"{data}, {when}")
            panel.set(title=f"{name}, {direction}", xlabel="k", xticks=RANKS, ylim=(0, 1))
            panel.grid(alpha=0.3)
        row[0].set_ylabel("recall@k")
    panels[0][-1].legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Fine-tune on each set, write the report and the plot, print the gain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model/pretrained/pictogram"))
    parser.add_argument("--data", type=Path, default=Path("runs"), help="folder of icons/ and pictogram/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/finetune.json"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--set", action="append", default=[], help="override a key of the recipe")
    parser.add_argument("--quick", action="store_true", help="few pictures and steps: shows that it works")
    arguments = parser.parse_args()
    settings = [*(["steps=20", "optimizer.warmup_steps=5"] if arguments.quick else []), *arguments.set]
    sets = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.sets:
            pictures = Path(scratch) / name / "pictures"
            write_pictures(arguments.data / "icons" / name, pictures, 200 if arguments.quick else None)
            canary = arguments.data / "pictogram" / "validation"
            result = finetune(arguments.model, pictures, canary, Path(scratch) / name / "out", settings)
            sets[name] = {key: result[key] for key in ("pictures", "steps", "before", "after")}
    write_report(arguments.out, ("torch", "numpy"), {"model": str(arguments.model), "sets": sets})
    draw(sets, arguments.out.with_suffix(".png"))
    for name, result in sets.items():
        gains = [
            result["after"][data][key]["R@1"] - result["before"][data][key]["R@1"]
            for data in ("held-out",)
            for key in DIRECTIONS
        ]
        print(f"{name}: R@1 of the half that was held out {sum(gains) / len(gains):+.3f}")


if __name__ == "__main__":
    main()
