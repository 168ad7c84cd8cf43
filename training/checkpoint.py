"""The state of a run on disk: everything that the next step depends on, written whole or not at all."""

import io
from pathlib import Path
from typing import Any

import torch

from model.durable import write_atomic
from model.errors import ParallaxError

FILE = "checkpoint.pt"


class CheckpointError(ParallaxError):
    """There is no checkpoint, or it cannot be read."""


def save_checkpoint(run: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(run / FILE, buffer.getvalue())


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The run's checkpoint; tensors and plain values only, nothing in it is executed."""
    path = run / FILE
    if not path.is_file():
        raise CheckpointError(f"{run} holds no {FILE}; start the run without --resume")
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return state
