"""A hook for tests."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from training.loop.run import Run


class At:
    """Does something in step number `step`, from 0, before the weights change."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self._step, self._action = step, action

    def start(self, run: Run) -> None:
        pass

    def loss(self, run: Run, losses: dict[str, float], images: Tensor, texts: Tensor) -> None:
        if run.step == self._step:
            self._action()

    def step(self, run: Run, record: dict[str, Any]) -> None:
        pass
