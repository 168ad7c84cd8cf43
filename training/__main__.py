"""The command line: `python -m training prepare | train | evaluate | export`.

Results go to stdout, logs and progress bars to stderr. The exit status is 0, 1 if the command failed, 2 if misused.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model.errors import ParallaxError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except ParallaxError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; a run goes on from its last checkpoint with --resume.", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train models that Parallax serves.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="build a data set as WebDataset shards (img2dataset layout)")
    prepare.add_argument(
        "name", metavar="NAME", choices=("pictogram", "icons", "gallery"), help="pictogram, icons or gallery"
    )
    prepare.add_argument("folder", metavar="DIR", type=Path, help="folder to write")
    prepare.add_argument("--json", action="store_true", help="print the result as JSON")
    prepare.set_defaults(run=_prepare)

    train = commands.add_parser("train", help="train a model")
    train.add_argument("config", metavar="CONFIG.toml", type=Path)
    train.add_argument(
        "--out", metavar="RUN_DIR", type=Path, required=True, help="folder of checkpoint, log and curves"
    )
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in RUN_DIR")
    train.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="override one key of the configuration"
    )
    train.add_argument("--json", action="store_true", help="print the result as JSON")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="measure retrieval both ways and zero-shot accuracy")
    evaluate.add_argument("model", metavar="MODEL_DIR", type=Path)
    evaluate.add_argument("data", metavar="DATA", type=Path, help="folder of shards, or of folders of shards")
    evaluate.add_argument(
        "--gallery", metavar="DIR", type=Path, help="folder of shards in which to look for the pictures of DATA"
    )
    evaluate.add_argument("--out", metavar="DIR", type=Path, help="write result.json, result.md and recall.png here")
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="write the model folder that the service loads")
    export.add_argument("run_dir", metavar="RUN_DIR", type=Path)
    export.add_argument("model", metavar="MODEL_DIR", type=Path)
    export.add_argument("--json", action="store_true", help="print the result as JSON")
    export.set_defaults(run=_export)
    return parser


# What a command needs is imported in it: `--help` and `prepare` load no torch.


def _prepare(arguments: argparse.Namespace) -> None:
    from training.prepare import DATA_SETS

    counts = DATA_SETS[arguments.name](arguments.folder)
    _show(
        {"folder": str(arguments.folder), "pictures": counts},
        arguments.json,
        "\n".join(f"{n:8} {s}" for s, n in counts.items()),
    )


def _train(arguments: argparse.Namespace) -> None:
    from training.allocator import keep_freed_memory

    keep_freed_memory()
    from training.config import read_config
    from training.train import Run

    run = Run(read_config(arguments.config, arguments.set), arguments.out)
    if arguments.resume:
        run.resume()
    run.train()
    validation = run.validate()
    result = {"run": str(arguments.out), "step": run.step, "validation": validation}
    _show(result, arguments.json, f"{arguments.out}: {run.step} steps, validation R@1 {validation['R@1']:.3f}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from model import load
    from model.durable import write_atomic
    from training.evaluate import evaluate
    from training.report import draw_recalls, table

    encoder = load(arguments.model)
    splits = evaluate(encoder, arguments.data, arguments.gallery)
    result = {"model": encoder.name, "fingerprint": encoder.fingerprint, "runtime": encoder.runtime, "splits": splits}
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_atomic(arguments.out / "result.json", f"{json.dumps(result, indent=2)}\n".encode())
        write_atomic(arguments.out / "result.md", f"{table(splits)}\n".encode())
        draw_recalls(splits, arguments.out / "recall.png")
    _show(result, arguments.json, table(splits))


def _export(arguments: argparse.Namespace) -> None:
    from training.export import export_run

    folder = export_run(arguments.run_dir, arguments.model)
    _show(
        {"model": str(folder.path), "fingerprint": folder.fingerprint},
        arguments.json,
        f"{folder.path} {folder.fingerprint}",
    )


def _show(result: object, as_json: bool, text: str) -> None:
    print(json.dumps(result) if as_json else text)


if __name__ == "__main__":
    sys.exit(main())
