"""The curves of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw_curves(records: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Loss and learning rate by step, and validation recall where it was measured, as one PNG.

    `records` are those of the log.
    """
    steps = [record["step"] for record in records]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(steps, [record["loss"] for record in records], linewidth=0.8)
    left.set(xlabel="step", ylabel="loss")
    rates = left.twinx()
    rates.plot(steps, [record["learning_rate"] for record in records], color="tab:orange", linewidth=0.8)
    rates.set_ylabel("learning rate", color="tab:orange")
    measured = [record for record in records if "validation_R@1" in record]
    for name in ("R@1", "R@5", "R@10"):
        right.plot([r["step"] for r in measured], [r[f"validation_{name}"] for r in measured], marker=".", label=name)
    right.set(xlabel="step", ylabel="validation recall, label → picture", ylim=(0, 1))
    right.legend()
    figure.savefig(out, dpi=120)
    plt.close(figure)
