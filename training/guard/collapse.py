"""A collapse: a tower gives everything nearly the same vector, or the logit scale leaves its range."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.config import GuardSection
from training.guard.stopping import VECTORS, stop
from training.guard.uniformity import uniformity, variance
from training.loop.log import read_log
from training.loop.run import Run

TOWERS = ("image", "text")
_WELL = 10
"""Times the limit, at which vectors are well spread."""
_GRACE = 500


class Collapse:
    """Ends a run whose vectors have lain together for `guard.collapsed_steps` steps on end.

    New towers begin like that, and may first contract: it counts from when the vectors have once been well spread, or
    from 500 steps after the warm-up.
    """

    def __init__(self, config: GuardSection) -> None:
        self._config = config
        self._seen: dict[str, float] = {}
        self._spread = False
        self._steps = 0

    def start(self, run: Run) -> None:
        """A run that is resumed stands where it stood."""
        for record in read_log(run.folder):
            if record["step"] <= run.step and "image_uniformity" in record:
                self._note(run, record["step"] - 1, record)
        run.good_steps[VECTORS] = max(0, run.step - self._steps)

    def loss(self, run: Run, losses: dict[str, float], images: Tensor, texts: Tensor) -> None:  # noqa: ARG002
        """What the weights with which the step began make of this batch; the mean over the processes."""
        values = torch.stack([measure(v) for v in (images, texts) for measure in (uniformity, variance)])
        run.ranks.add_up([values])
        numbers = (values / run.ranks.count).tolist()
        names = [f"{tower}_{measure}" for tower in TOWERS for measure in ("uniformity", "variance")]
        self._seen = dict(zip(names, numbers, strict=True))
        scale = run.model.log_logit_scale.exp().item()
        fault = self._note(run, run.step, {**self._seen, "logit_scale": scale})
        run.good_steps[VECTORS] = run.step - self._steps
        if run.ranks.any(fault is not None and self._steps >= self._config.collapsed_steps):
            self._stop(run, fault or "the vectors of another process have collapsed.")

    def step(self, run: Run, record: dict[str, Any]) -> None:  # noqa: ARG002
        """The numbers go into the record."""
        record |= self._seen

    def _note(self, run: Run, step: int, numbers: Mapping[str, float]) -> str | None:
        """What is wrong in step number `step`, from 0; counts the steps in a row."""
        fault = self._fault(numbers)
        closest = max(numbers[f"{tower}_uniformity"] for tower in TOWERS)
        self._spread = self._spread or closest < _WELL * self._config.uniformity
        begun = step >= run.config.optimizer.warmup_steps + _GRACE
        self._steps = self._steps + 1 if fault and (self._spread or begun) else 0
        return fault

    def _fault(self, numbers: Mapping[str, float]) -> str | None:
        for tower in TOWERS:
            value, limit = numbers[f"{tower}_uniformity"], self._config.uniformity
            if value > limit:
                return (
                    f"the {tower} tower gives everything nearly the same vector: the uniformity of the batch is "
                    f"{value:.4f}, above the limit of {limit:g} (0 is a single point, a variance of "
                    f"{numbers[f'{tower}_variance']:.4f})."
                )
        low, high = self._config.logit_scale
        if not low <= numbers["logit_scale"] <= high:
            return f"the logit scale is {numbers['logit_scale']:.4g}, outside of {low:g} to {high:g}."
        return None

    def _stop(self, run: Run, fault: str) -> None:
        stop(
            run,
            f"a collapse, for {self._steps} steps: {fault}",
            f'a learning rate that is too high, the wrong loss (loss = "{run.config.loss}" here), or half precision',
            "lower optimizer.learning_rate (a tenth), lengthen optimizer.warmup_steps, see that loss is the one that "
            "the model was trained with, enlarge the batch",
            since=run.step - self._steps + 1,
            step=run.step + 1,
        )
