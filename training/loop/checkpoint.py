"""The state of a run on disk: everything that the next step depends on, written whole or not at all.

`checkpoints/step-00001200.pt` is the state after 1,200 steps. The newest few are kept, and the newest counts.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from model.durable import open_atomic
from model.errors import ParallaxError

FOLDER = "checkpoints"
SUSPECT = ".suspect"
_NAME = re.compile(r"step-(\d+)\.pt")


class CheckpointError(ParallaxError):
    """There is no checkpoint, or it cannot be read."""


def save_checkpoint(run: Path, state: dict[str, Any], keep: int, good: Iterable[int] = ()) -> None:
    """Write the state after `state["step"]` steps, then let go of all checkpoints but the newest `keep`.

    What came after a step in `good` may yet turn out bad: the newest one up to each of them stays too.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    with open_atomic(folder / f"step-{state['step']:08}.pt") as file:
        torch.save(state, file)
    checkpoints = _checkpoints(run)
    kept = {path for step in good for path in [path for path in checkpoints if _step(path) <= step][-1:]}
    for old in checkpoints[:-keep]:
        if old not in kept:
            old.unlink()
    for unfinished in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        unfinished.unlink()


def set_aside(run: Path, since: int) -> None:
    """Rename the checkpoints of `since` steps and more to `*.suspect`: a run does not go on from them by itself."""
    for path in _checkpoints(run):
        if _step(path) >= since:
            path.rename(path.with_name(f"{path.name}{SUSPECT}"))


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
    return sorted((path for path in (run / FOLDER).glob("*.pt") if _NAME.fullmatch(path.name)), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
