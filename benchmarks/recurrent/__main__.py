"""`python -m benchmarks.recurrent speed | probe | train | figure`: what is known of recurrent text towers, measured.

Results go into one JSON file, each command's under its own name, and `figure` draws them all.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.recurrent.towers import parameters, towers
from model.config import TextConfig
from model.durable import write_atomic

SPEED_REFERENCE = TextConfig(width=256, layers=3, heads=4, mlp_ratio=3.0, vocab_size=3072, context_length=512)
"""As deep as the shipped model's text tower, a third wider, and for longer texts."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recurrent", description=__doc__)
    parser.add_argument(
        "--results", type=Path, default=Path("docs/recurrent.json"), help="JSON file (docs/recurrent.json)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    speed = commands.add_parser("speed", help="CPU time by the length of a text")
    speed.add_argument("--seconds", type=float, default=0.5, help="spent on each number (0.5)")
    speed.set_defaults(measure=_speed, name="speed")
    probe = commands.add_parser("probe", help="how far a tower carries a word, and what it hears untrained")
    probe.add_argument("--steps", type=int, default=200, help="of training, each (200)")
    probe.set_defaults(measure=_probe, name="probe")
    train = commands.add_parser("train", help="the same run with each tower, and its retrieval")
    train.add_argument("recipe", type=Path, nargs="?", default=Path("training/recipes/baseline.toml"))
    train.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/baseline"), help="folder of the runs")
    train.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override a key of the recipe")
    train.set_defaults(measure=_train, name="train")
    figure = commands.add_parser("figure", help="draw the results, as a PNG beside them")
    figure.set_defaults(measure=None, name="figure")
    arguments = parser.parse_args()
    path: Path = arguments.results
    known: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if arguments.measure is None:
        from benchmarks.recurrent.figure import draw

        draw(known, path.with_suffix(".png"))
        return
    torch.set_num_threads(1)
    known[arguments.name] = arguments.measure(arguments)
    write_atomic(path, f"{json.dumps(known, indent=1)}\n".encode())
    print(f"written to {path}", file=sys.stderr)


def _speed(arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.recurrent.speed import measure

    compared = towers(SPEED_REFERENCE)
    rows = list(_shown(measure(compared, arguments.seconds), "median_s"))
    sizes = {name: {"width": config.width, "parameters": parameters(config)} for name, config in compared.items()}
    return {"torch": torch.__version__, "threads": 1, "precision": "float32", "towers": sizes, "rows": rows}


def _probe(arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.recurrent.probe import REFERENCE, influence, probe

    compared = towers(REFERENCE)
    rows = list(_shown(probe(compared, arguments.steps), "accuracy"))
    sizes = {name: {"width": config.width, "parameters": parameters(config)} for name, config in compared.items()}
    return {"steps": arguments.steps, "towers": sizes, "rows": rows, "influence": influence(towers(SPEED_REFERENCE))}


def _train(arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.recurrent.comparison import configurations, outcomes, train

    runs = configurations(arguments.recipe, arguments.set)
    train(runs, arguments.out)
    found = dict(outcomes(runs, arguments.out))
    for name, of in found.items():
        recalls = {split: [round(of["splits"][split][f"R@{k}"], 3) for k in (1, 10)] for split in of["splits"]}
        print(f"{name:16} {of['seconds_per_step']['median_s']:.3f} s a step, R@1 and R@10: {recalls}")
    return found


def _shown(rows: Iterator[dict[str, Any]], value: str) -> Iterator[dict[str, Any]]:
    for row in rows:
        what = ", ".join(f"{key} {row[key]}" for key in ("length", "batch", "what", "place") if key in row)
        print(f"{row['tower']:16} {what:48} {row[value]:10.4f}", flush=True)
        yield row


if __name__ == "__main__":
    main()
