"""The result of an evaluation as tables and plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt

from training.evaluation.bootstrap import LEVEL
from training.evaluation.evaluate import SLICES, Measured
from training.evaluation.metrics import RANKS

DIRECTIONS = {
    "text_to_picture": "text → picture",
    "picture_to_text": "picture → text",
    "picture_to_gallery": "picture → gallery",
}
_HEAD = "| {} | direction | queries | R@1 | R@5 | R@10 | MAP@10 | mean rank | median rank |"
_RULE = "|---|---|---|---|---|---|---|---|---|"
Array = NDArray[np.float64]
_FARTHEST = 1000
"""Rank up to which the share of found queries is drawn."""


def table(result: Mapping[str, Any]) -> str:
    """Markdown: one row a split and direction, then zero-shot accuracy."""
    lines = [_HEAD.format("split"), _RULE, *_rows(result)]
    classified = {split: measured["zero_shot"] for split, measured in result.items() if "zero_shot" in measured}
    if classified:
        lines += ["", "| split | classes | zero-shot top-1 | top-5 |", "|---|---|---|---|"]
        lines += [
            f"| {s} | {z['classes']} | {_with(z, 'top-1')} | {_with(z, 'top-5')} |" for s, z in classified.items()
        ]
    return "\n".join(lines)


def full_table(result: Mapping[str, Any]) -> str:
    """Markdown: the table of `table`, and one more for each kind of slice of each split."""
    parts = [table(result)]
    for split, measured in result.items():
        for kind, name in SLICES.items():
            if kind in measured:
                rows = _rows(measured[kind])
                parts.append("\n".join([f"## {split}, by {name}", "", _HEAD.format(name), _RULE, *rows]))
    parts.append(f"In brackets the {LEVEL:.0%} bootstrap interval over the queries.")
    return "\n\n".join(parts)


def draw_recalls(result: Mapping[str, Any], out: Path) -> None:
    """Recall at 1, 5 and 10 of every split with its interval, one panel a direction, as a PNG."""
    directions = [key for key in DIRECTIONS if any(key in measured for measured in result.values())]
    figure, panels = plt.subplots(
        1, len(directions), figsize=(4.2 * len(directions), 3.6), sharey=True, layout="constrained", squeeze=False
    )
    for panel, key in zip(panels[0], directions, strict=True):
        there = {split: measured[key] for split, measured in result.items() if key in measured}
        for number, (split, numbers) in enumerate(there.items()):
            shift = (number - (len(there) - 1) / 2) * 0.12  # so that intervals stand side by side
            values, errors = _with_errors([numbers], RANKS)
            panel.errorbar(np.add(RANKS, shift), values[0], errors[:, 0], marker="o", capsize=2, label=split)
        panel.set(title=DIRECTIONS[key], xlabel="k", xticks=RANKS, ylim=(0, 1))
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("recall@k")
    panels[0][-1].legend(fontsize="small")
    figure.savefig(out, dpi=120)
    plt.close(figure)


def draw_slices(result: Mapping[str, Any], out: Path) -> None:
    """Text → picture R@1 and R@10 of each slice with their intervals, one panel a split and kind of slice, as a PNG.

    Without any slice there is none.
    """
    panels = [
        (f"{split}, by {name}", measured[kind])
        for split, measured in result.items()
        for kind, name in SLICES.items()
        if kind in measured
    ]
    if not panels:
        out.unlink(missing_ok=True)  # an earlier one
        return
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    tallest = [max(len(found) for _, found in panels[row * columns :][:columns]) for row in range(rows)]
    heights = [0.9 + 0.26 * count for count in tallest]
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(5.2 * columns, sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
        sharex=True,
    )
    for panel in grid.flat[len(panels) :]:
        panel.set_axis_off()
    for panel, (title, found) in zip(grid.flat, panels, strict=False):
        values, errors = _with_errors([of["text_to_picture"] for of in found.values()], (1, 10))
        places = np.arange(len(found))[::-1]
        for column, k in enumerate((1, 10)):
            panel.errorbar(
                values[:, column], places, xerr=errors[:, :, column], fmt="o", markersize=4, capsize=2, label=f"R@{k}"
            )
        panel.set(xlim=(0, 1.01), ylim=(-0.7, len(found) - 0.3))
        panel.set_yticks(places, [f"{name} ({of['text_to_picture']['queries']})" for name, of in found.items()])
        panel.set_title(title, fontsize="medium")
        panel.tick_params(labelsize="small", labelbottom=True)
        panel.grid(alpha=0.3)
    grid.flat[0].legend(fontsize="small", loc="lower left")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def draw_distributions(measured: Mapping[str, Measured], out: Path) -> None:
    """Each split's cosines, of the best match and of the best other picture, and how many queries each rank answers."""
    figure, panels = plt.subplots(
        1, len(measured) + 1, figsize=(3.4 * (len(measured) + 1), 3.4), layout="constrained", squeeze=False
    )
    for panel, (split, of_split) in zip(panels[0], measured.items(), strict=False):
        found = of_split.to_picture
        both = np.concatenate([found.match, found.other])
        bins = np.linspace(both.min(), both.max(), 50)
        panel.hist(found.match, bins, alpha=0.6, density=True, label="best match")
        panel.hist(found.other, bins, alpha=0.6, density=True, label="best other picture")
        panel.set(xlabel="cosine", yticks=[])
        panel.set_title(f"{split}, text → picture", fontsize="medium")
    panels[0][0].legend(fontsize="small")
    last = panels[0][-1]
    ranks = np.unique(np.geomspace(1, _FARTHEST, 60).astype(int))
    for split, of_split in measured.items():
        last.plot(ranks, [(of_split.to_picture.ranks <= rank).mean() for rank in ranks], label=split)
    last.set(xscale="log", xlabel="rank", ylim=(0, 1.01))
    last.set_title("share of queries answered by it", fontsize="medium")
    last.grid(alpha=0.3)
    last.legend(fontsize="small", loc="lower right")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _rows(result: Mapping[str, Any]) -> list[str]:
    return [
        f"| {name} | {direction} | {m['queries']} | {' | '.join(_with(m, f'R@{k}') for k in RANKS)} "
        f"| {_with(m, 'MAP@10')} | {m['mean_rank']:.1f} | {m['median_rank']:.0f} |"
        for name, measured in result.items()
        for key, direction in DIRECTIONS.items()
        if (m := measured.get(key))
    ]


def _with(numbers: Mapping[str, Any], name: str) -> str:
    low, high = numbers["intervals"][name]
    return f"{numbers[name]:.3f} ({low:.3f}–{high:.3f})"


def _with_errors(numbers: list[Mapping[str, Any]], ranks: tuple[int, ...]) -> tuple[Array, Array]:
    """Recalls (n, r), and how far below and above their intervals reach (2, n, r)."""
    values = np.array([[m[f"R@{k}"] for k in ranks] for m in numbers])
    bounds = np.array([[m["intervals"][f"R@{k}"] for k in ranks] for m in numbers])  # (n, r, 2)
    return values, np.maximum(0, [values - bounds[:, :, 0], bounds[:, :, 1] - values])
