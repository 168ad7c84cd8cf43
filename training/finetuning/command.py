"""The `finetune` command: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import ParallaxError
from model.folder import ModelFolder, read_folder

if TYPE_CHECKING:
    from training.config import TrainingConfig

RECIPE = Path(__file__).parents[1] / "recipes" / "finetune.toml"
RUN, MODEL, RESULT, TABLE = "run", "model", "comparison.json", "comparison.md"
_BEGUN = "finetune.json"
"""What is tuned on what: the mark of a folder that a fine-tune may write over."""
_TUNED, _HALFWAY = "tuned", "halfway"
_CHOICE = {
    _TUNED: "The weights are the tuned ones, which find more of the pictures held out than their mean with those "
    "before; being chosen by them, they look a little better there than they are.",
    _HALFWAY: "The weights are the mean of those before and after tuning, which finds more of the pictures held out "
    "than the tuned ones; being chosen by them, it looks a little better there than it is.",
}


class FinishedError(ParallaxError):
    """The folder of a fine-tune holds one that has ended."""


class OtherFolderError(ParallaxError):
    """The folder of a fine-tune holds something else."""


class NoBetterError(ParallaxError):
    """The model of a fine-tune is worse at what it was tuned for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m training finetune` takes."""
    parser.add_argument("model", metavar="MODEL_DIR", type=Path, help="model folder to begin with")
    parser.add_argument("pictures", metavar="PICTURES", type=Path, help="captioned pictures, a data set of any kind")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help=f"folder of the better {MODEL}, the {RUN}, and {TABLE}"
    )
    parser.add_argument(
        "--canary", metavar="DATA", type=Path, help="what the model can do already: forgetting it ends the run"
    )
    parser.add_argument(
        "--held-out", metavar="SHARE", type=_share, default=0.2, help="of the pictures, to measure on (default 0.2)"
    )
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help=f"override a key of {RECIPE.name}"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Split, measure, train, export, measure again; returns the result and its table.

    The same command goes on with a run that was stopped. Raises FinishedError where it has ended, OtherFolderError
    where the folder is anything but this fine-tune's, and NoBetterError where there is nothing to export.
    """
    from training.loop.allocator import keep_freed_memory

    keep_freed_memory()
    from model.durable import write_atomic
    from training.finetuning.comparison import figures, score, table
    from training.finetuning.split import HELD_OUT, split

    out: Path = arguments.out
    if (out / RESULT).exists():
        raise FinishedError(f"{out} holds a fine-tune that has ended ({out / RESULT}): name another folder by --out")
    _begin(arguments)
    train, held_out = split(arguments.pictures, out / "pictures", arguments.held_out)
    config = configure(arguments.model, train.folder, held_out.folder, train.concepts, arguments.canary, arguments.set)
    data = {HELD_OUT: held_out.folder} | ({"canary": arguments.canary} if arguments.canary else {})
    before = figures(arguments.model, data)
    _train(config, out / RUN)
    folder, weights = _export(out, held_out.folder)
    after = figures(folder.path, data)
    better = score(after[HELD_OUT]) > score(before[HELD_OUT])
    result = {
        "start": str(arguments.model),
        "model": str(folder.path) if better else None,
        "fingerprint": folder.fingerprint if better else None,
        "pictures": {"train": train.pictures, "held-out": held_out.pictures},
        "steps": config.steps,
        "weights": weights,
        "before": before,
        "after": after,
    }
    text = f"{table(before, after)}\n\n{_CHOICE[weights]}"
    write_atomic(out / RESULT, f"{json.dumps(result, indent=2)}\n".encode())
    write_atomic(out / TABLE, f"{text}\n".encode())
    if not better:
        (folder.path / "config.json").rename(folder.path / "config.json.no-better")  # without it a folder is no model
        raise NoBetterError(
            f"{text}\n\nThe model is no better at the pictures held out than {arguments.model}: go on with that one. "
            "More pictures, fewer steps or a lower rate (--set optimizer.learning_rate=…) may help, with another --out"
        )
    return result, f"{text}\n\n{folder.path} {folder.fingerprint}"


def _begin(arguments: argparse.Namespace) -> None:
    """Note in a new folder what it is for; of one in which a run has begun, see that it is for the same."""
    from model.durable import write_atomic

    out: Path = arguments.out
    asked = {
        "model": str(arguments.model.resolve()),
        "pictures": str(arguments.pictures.resolve()),
        "held_out": arguments.held_out,
    }
    if (out / _BEGUN).is_file():
        begun = json.loads((out / _BEGUN).read_bytes())
        own = arguments.pictures.resolve().is_relative_to(out.resolve())
        if own or (begun != asked and (out / RUN).exists()):
            raise OtherFolderError(
                f"{out} is the folder of another fine-tune ({out / _BEGUN}: {begun}), and this one is {asked}: name "
                "another folder by --out"
            )
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OtherFolderError(f"{out} is there and no folder of a fine-tune; it stays as it is: name another by --out")
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / _BEGUN, f"{json.dumps(asked, indent=2)}\n".encode())


def configure(
    model: Path, train: Path, held_out: Path, concepts: int, canary: Path | None, overrides: list[str]
) -> TrainingConfig:
    """The recipe for these pictures: the loss that the model was trained with, a batch that has no concept twice."""
    import tomllib

    from training.config import read_config

    section = tomllib.loads(RECIPE.read_text("utf-8"))["data"]
    per_concept = section["per_concept"]
    per_batch = min(section["train"][0]["per_batch"], concepts // per_concept * per_concept)
    loss = "sigmoid" if read_folder(model).config.logit_bias else "contrastive"
    own = [
        f"model.start={_quoted(model)}",
        f"loss={loss}",
        f"data.train=[{{path={_quoted(train)}, per_batch={per_batch}}}]",
        f"data.validation={_quoted(held_out)}",
    ]
    if canary:
        own.append(f"guard.canary={_quoted(canary)}")
    return read_config(RECIPE, [*own, *overrides])


def _train(config: TrainingConfig, folder: Path) -> None:
    from training.guard.guards import guards
    from training.loop.checkpoint import latest
    from training.loop.run import Run
    from training.loop.termination import EXIT_STATUS

    run = Run(config, folder, resume=latest(folder) is not None, hooks=guards(config))
    run.train()
    if run.terminated:
        print(f"Stopped by SIGTERM after step {run.step}, which is saved; the same command goes on.", file=sys.stderr)
        sys.exit(EXIT_STATUS)


def _export(out: Path, held_out: Path) -> tuple[ModelFolder, str]:
    """The tuned weights or the mean of them and those before, whichever finds more of what was held out; and which."""
    from training.export import export_run
    from training.finetuning.comparison import figures, score

    scores = {}
    for name, halfway in ((MODEL, False), (_HALFWAY, True)):
        if (out / name).exists():  # of a run that was stopped while it wrote
            shutil.rmtree(out / name)
        folder = export_run(out / RUN, out / name, halfway=halfway)
        (found,) = figures(folder.path, {name: held_out}).values()
        scores[name] = score(found)
    if scores[_HALFWAY] > scores[MODEL]:
        shutil.rmtree(out / MODEL)
        (out / _HALFWAY).rename(out / MODEL)
        return read_folder(out / MODEL), _HALFWAY
    shutil.rmtree(out / _HALFWAY)
    return read_folder(out / MODEL), _TUNED


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return share
