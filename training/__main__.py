"""The command line: `python -m training prepare | train | finetune | evaluate | export`.

Results go to stdout, logs and progress bars to stderr. The exit status is 0, 1 if the command failed, 2 if misused, 143
if SIGTERM stopped a run, whose state is saved.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model.errors import ParallaxError, told
from training.evaluation import command
from training.finetuning import command as finetuning


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except (ParallaxError, OSError, ModuleNotFoundError) as error:
        return _fail(told(error))
    except KeyboardInterrupt:
        return _fail("Stopped; a run goes on from its last checkpoint with --resume.")
    return 0


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train models that Parallax serves.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="build a data set as WebDataset shards (img2dataset layout)")
    prepare.add_argument(
        "name",
        metavar="NAME",
        choices=("pictogram", "icons", "clipart", "gallery"),
        help="pictogram, icons, clipart or gallery",
    )
    prepare.add_argument("folder", metavar="DIR", type=Path, help="folder to write")
    prepare.add_argument("--json", action="store_true", help="print the result as JSON")
    prepare.set_defaults(run=_prepare)

    train = commands.add_parser("train", help="train a model")
    train.add_argument("config", metavar="CONFIG.toml", type=Path)
    train.add_argument(
        "--out", metavar="RUN_DIR", type=Path, required=True, help="folder of checkpoints, log and curves"
    )
    train.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in RUN_DIR")
    train.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="override one key of the configuration"
    )
    train.add_argument("--json", action="store_true", help="print the result as JSON")
    train.set_defaults(run=_train)

    finetune = commands.add_parser("finetune", help="make a model better at pictures like these, and show how much")
    finetuning.add_arguments(finetune)
    finetune.set_defaults(run=_finetune)

    evaluate = commands.add_parser("evaluate", help="measure retrieval both ways and zero-shot accuracy")
    command.add_arguments(evaluate)
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="write the model folder that the service loads")
    export.add_argument("run_dir", metavar="RUN_DIR", type=Path)
    export.add_argument("model", metavar="MODEL_DIR", type=Path)
    export.add_argument(
        "--halfway",
        action="store_true",
        help="of a run that started from a model: the mean of its weights and the model's",
    )
    export.add_argument("--json", action="store_true", help="print the result as JSON")
    export.set_defaults(run=_export)
    return parser


# What a command needs is imported in it: `--help` and `prepare` load no torch.


def _prepare(arguments: argparse.Namespace) -> None:
    from training.prepare.build import DATA_SETS

    counts = DATA_SETS[arguments.name](arguments.folder)
    _show(
        {"folder": str(arguments.folder), "pictures": counts},
        arguments.json,
        "\n".join(f"{n:8} {s}" for s, n in counts.items()),
    )


def _train(arguments: argparse.Namespace) -> None:
    from training.loop.allocator import keep_freed_memory

    keep_freed_memory()
    from training.config import read_config
    from training.guard.guards import guards
    from training.loop.device import find_device
    from training.loop.ranks import connected
    from training.loop.run import Run
    from training.loop.termination import EXIT_STATUS

    config = read_config(arguments.config, arguments.set)
    with connected(cuda=find_device(config.device).type == "cuda") as ranks:
        run = Run(config, arguments.out, arguments.resume, ranks=ranks)
        run.hooks = (*run.hooks, *guards(config))
        run.train()
        if run.terminated:
            if ranks.index == 0:
                print(f"Stopped by SIGTERM after step {run.step}, which is saved; --resume goes on.", file=sys.stderr)
            sys.exit(EXIT_STATUS)
        validation = run.validate()
    if ranks.index == 0:
        result = {"run": str(arguments.out), "step": run.step, "validation": validation}
        _show(result, arguments.json, f"{arguments.out}: {run.step} steps, validation R@1 {validation['R@1']:.3f}")


def _finetune(arguments: argparse.Namespace) -> None:
    result, text = finetuning.run(arguments)
    _show(result, arguments.json, text)


def _evaluate(arguments: argparse.Namespace) -> None:
    result, text = command.run(arguments)
    _show(result, arguments.json, text)


def _export(arguments: argparse.Namespace) -> None:
    from training.export import export_run

    folder = export_run(arguments.run_dir, arguments.model, halfway=arguments.halfway)
    _show(
        {"model": str(folder.path), "fingerprint": folder.fingerprint},
        arguments.json,
        f"{folder.path} {folder.fingerprint}",
    )


def _show(result: object, as_json: bool, text: str) -> None:
    print(json.dumps(result) if as_json else text)


if __name__ == "__main__":
    sys.exit(main())
