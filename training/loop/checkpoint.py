"""The state of a run on disk: everything that the next step depends on, written whole or not at all.

`checkpoints/step-00001200.pt` is the state after 1,200 steps. The newest few are kept, and the newest counts.
"""

import re
from pathlib import Path
from typing import Any

import torch

from model.durable import open_atomic
from model.errors import ParallaxError

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d+)\.pt")


class CheckpointError(ParallaxError):
    """There is no checkpoint, or it cannot be read."""


def save_checkpoint(run: Path, state: dict[str, Any], keep: int) -> None:
    """Write the state after `state["step"]` steps, then let go of all checkpoints but the newest `keep`."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    with open_atomic(folder / f"step-{state['step']:08}.pt") as file:
        torch.save(state, file)
    for old in _checkpoints(run)[:-keep]:
        old.unlink()
    for unfinished in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        unfinished.unlink()


def latest(run: Path) -> Path | None:
    """The newest checkpoint of a run, by its name."""
    return next(reversed(_checkpoints(run)), None)


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The run's newest state; tensors and plain values only, nothing in it is executed."""
    path = latest(run)
    if path is None:
        raise CheckpointError(f"{run} holds no checkpoint; start the run without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        others = ", ".join(other.name for other in _checkpoints(run)[:-1])
        hint = f"; take it away, and the run goes on from the newest of {others}" if others else ""
        raise CheckpointError(f"{path} is damaged{hint}: {error}") from error
    return state


def _checkpoints(run: Path) -> list[Path]:
    named = [(int(match[1]), path) for path in (run / FOLDER).glob("*.pt") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(named)]
