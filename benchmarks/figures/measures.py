"""Figures of the measurements in `benchmarks/results`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.figures.look import COLOURS, FAINT, panels
from benchmarks.figures.studio import Studio

RESULTS = Path(__file__).parents[1] / "results"


def ways(_: Studio) -> Figure:
    """The ways to compute attention beside each other, as `python -m benchmarks.attention` measured them."""
    measured: list[dict[str, Any]] = json.loads((RESULTS / "attention.json").read_text("utf-8"))["measures"]
    figure, axes = panels(1, 2, 11, 3.6)
    for panel, precision in zip(axes, ("float32", "bfloat16 autocast"), strict=True):
        rows = [row for row in measured if row["precision"] == precision and row["what"] == "forward and backward"]
        for number, (way, color) in enumerate(zip(rows[0]["ways"], COLOURS, strict=False)):
            # beside the definition, which is the first
            times = [row["ways"][way]["median_s"] / row["ways"]["attention"]["median_s"] for row in rows]
            places = [place + (number - 1) * 0.27 for place in range(len(rows))]
            panel.barh(places, times, height=0.25, label=way, color=color)
        panel.set(title=f"{precision}: time of forward and backward", xlabel="times the definition's")
        panel.axvline(1, color=FAINT, linewidth=0.8)
        panel.invert_yaxis()
        panel.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes[1].set_yticks([])
    axes[1].legend()
    return figure
