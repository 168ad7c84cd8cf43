"""Losses, gradients and weights have to be numbers (openai/CLIP #40: NaN in half precision)."""

import math
from typing import Any

import torch
from torch import Tensor

from training.guard.stopping import stop
from training.loop.run import Run
from training.loop.sharding import own_part

_CAUSES = "a learning rate that is too high, no warm-up, or half precision where the numbers are large"
_ADVICE = 'lower optimizer.learning_rate (a tenth), lengthen optimizer.warmup_steps, or set precision = "float32"'


class Finite:
    """Ends a run at the first NaN or infinity, before the state that holds it is written."""

    def start(self, run: Run) -> None:
        """Weights are to be trained on: they have to be numbers too."""
        self._check_weights(run, since=run.step)

    def loss(self, run: Run, losses: dict[str, float], images: Tensor, texts: Tensor) -> None:  # noqa: ARG002
        """The weights with which the step began made this loss."""
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if run.ranks.any(bool(bad)):
            said = ", ".join(f"{name} is {value}" for name, value in bad.items()) or "a loss is not finite"
            seen = f"{said}, and only finite numbers are allowed."
            stop(run, seen, _CAUSES, _ADVICE, since=max(1, run.step), step=run.step + 1)

    def step(self, run: Run, record: dict[str, Any]) -> None:
        """The weights that the step has made are the ones that would be written."""
        norm = record["gradient_norm"]
        if run.ranks.any(not math.isfinite(norm)):
            seen = f"the norm of the gradient is {norm}, and only finite numbers are allowed."
            stop(run, seen, _CAUSES, _ADVICE, since=run.step)
        self._check_weights(run, since=run.step)

    def _check_weights(self, run: Run, since: int) -> None:
        state = {**dict(run.model.named_parameters()), **dict(run.model.named_buffers())}
        numbers = {name: own_part(value.detach()) for name, value in state.items() if value.is_floating_point()}
        sums = torch.stack([value.sum(dtype=torch.float64) for value in numbers.values()]).tolist()  # NaN and inf stay
        bad = [name for name, total in zip(numbers, sums, strict=True) if not math.isfinite(total)]
        if run.ranks.any(bool(bad)):
            named = f"{len(bad)} tensors of the model, {bad[0]} for one, hold" if bad else "tensors of the model hold"
            stop(run, f"{named} NaN or infinity.", _CAUSES, _ADVICE, since)
