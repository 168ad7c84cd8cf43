"""Forgetting: a model that is trained on loses what it could do (58 % → 0.1 % in one epoch, open_clip #1076)."""

import math
import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from training.config import GuardSection, StartSection
from training.guard.stopping import stop
from training.loop.log import read_log
from training.loop.run import Run
from training.loop.validation import Validation

_RANKS = ("R@1", "R@5", "R@10")
_ERRORS = 2.0
"""Standard errors by which a recall has to have fallen at the least."""


class Canary:
    """Measures the averaged weights before the first step and after every n-th, and ends a run that forgets.

    The figure is the mean of R@1, R@5 and R@10, label → picture. A fine-tune is held against where it began, a new
    model against its best. It has forgotten when it has lost the share `guard.forgotten` of that, by more than chance
    would have it, `guard.patience` times in a row. A checkpoint counts as good when a canary has found it so, at its
    step or after.

    While a model is trained on smaller pictures it does worse on large ones without forgetting anything, so nothing is
    held against a figure of these.
    """

    def __init__(self, config: GuardSection) -> None:
        self._config = config
        self._data: Validation | None = None
        self._before: dict[str, float] = {}
        self._reference, self._fallen = 0.0, 0
        self._good = 0

    def start(self, run: Run) -> None:
        """The first canary; a run that is resumed stands where it stood."""
        if self._of_large(run) and run.feed.size(run.config.steps - 1) != run.config.model.preprocess.size:
            print(
                "No canary is measured: every step is on smaller pictures (data.early_steps is not below steps)",
                file=sys.stderr,
            )
        if self._config.canary is not None:
            self._data = Validation(run.config, {run.config.model.preprocess.size}, self._config.canary)
        if run.step == 0:
            self._before = self._measure(run)
            self._judge(run, 0, self._before)
        for record in read_log(run.folder):
            if record["step"] <= run.step:
                for name, step in (("canary_before", 0), ("canary", record["step"])):
                    if f"{name}_R@1" in record:
                        self._judge(run, step, _named(record, name))
        run.good_steps["canary"] = self._good

    def loss(self, run: Run, losses: dict[str, float], images: Tensor, texts: Tensor) -> None:
        """Nothing: a canary is sung after steps."""

    def step(self, run: Run, record: dict[str, Any]) -> None:
        """After every n-th step, and the last."""
        if self._before:
            record |= {f"canary_before_{name}": value for name, value in self._before.items()}
            self._before = {}
        every = self._config.canary_every or run.config.validate_every
        small = run.trained_size != run.config.model.preprocess.size
        if (run.step % every and run.step != run.config.steps) or (small and self._of_large(run)):
            return
        validated = self._data is None and "validation_R@1" in record  # the same pictures, just now
        measured = _named(record, "validation") if validated else self._measure(run)
        record |= {f"canary_{name}": value for name, value in measured.items()}
        self._judge(run, run.step, measured)
        run.good_steps["canary"] = self._good
        if run.ranks.any(self._fallen >= self._config.patience):
            self._stop(run, measured)

    def _of_large(self, run: Run) -> bool:
        """Whether what the model is held against is measured on pictures of its full size."""
        return self._config.canary is not None or isinstance(run.config.model, StartSection)

    def _measure(self, run: Run) -> dict[str, float]:
        if self._data is None:
            return run.validate()
        size = run.config.model.preprocess.size
        return self._data.measure(run.average, run.tokenizer, size, run.device)

    def _judge(self, run: Run, step: int, measured: Mapping[str, float]) -> None:
        now = recall(measured)
        if step == 0 or not isinstance(run.config.model, StartSection):
            self._reference = max(self._reference, now)
        fall = self._reference - now
        if fall > self._config.forgotten * self._reference and fall > _ERRORS * standard_error(
            self._reference, now, measured["queries"]
        ):
            self._fallen += 1
        else:
            self._fallen, self._good = 0, step

    def _stop(self, run: Run, measured: Mapping[str, float]) -> None:
        when = "at the start" if isinstance(run.config.model, StartSection) else "at best"
        stop(
            run,
            f"the model forgets: the recall of the canary (mean of R@1, R@5 and R@10 of {measured['queries']:.0f} "
            f"labels) is {recall(measured):.3f}. It was {self._reference:.3f} {when}, "
            f"and the limit is {(1 - self._config.forgotten) * self._reference:.3f}, {self._config.patience} times in "
            "a row.",
            "a learning rate that is too high for weights that are trained already, the wrong loss, too many steps on "
            "too few pictures, or half precision",
            "lower optimizer.learning_rate (a tenth), set optimizer.layer_decay below 1, take fewer steps, lock a "
            "tower, or add some of the old data to data.train",
            since=self._good + 1,
        )


def recall(measured: Mapping[str, float]) -> float:
    """The mean of R@1, R@5 and R@10."""
    return sum(measured[name] for name in _RANKS) / len(_RANKS)


def standard_error(one: float, other: float, queries: float) -> float:
    """Of the difference of two recalls, each of so many independent queries."""
    return math.sqrt((one * (1 - one) + other * (1 - other)) / queries)


def _named(record: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(f"{prefix}_"): value for name, value in record.items() if name.startswith(f"{prefix}_")}
