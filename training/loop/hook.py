"""Where others watch a run and may end it."""

from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from training.loop.run import Run


class Hook(Protocol):
    """What is told of a run as it goes on.

    Any method may raise a ParallaxError, which ends the run: nothing is saved after it, and the newest checkpoint is
    the last good one. With several processes each tells its own hooks, all in the same order.
    """

    def start(self, run: "Run") -> None:
        """Before the first step of this process, which may be a later one of the run: `run.step` are done."""

    def loss(self, run: "Run", losses: dict[str, float], images: Tensor, texts: Tensor) -> None:
        """In each step, before the weights change: the losses of the whole batch, "loss" and its parts.

        `images` (b, D) and `texts` (m, D) are this process's unit vectors of the batch.
        """

    def step(self, run: "Run", record: dict[str, Any]) -> None:
        """After each step, which `run.step` counts, before its record is logged with any numbers added here."""
