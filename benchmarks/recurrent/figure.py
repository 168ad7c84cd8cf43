"""The results as one figure: a panel for each question that is put to the recurrent towers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.recurrent.probe import CLASSES, place_of
from benchmarks.recurrent.towers import NAMES, RECURRENT, TRANSFORMER

_COLOURS = dict(zip(NAMES, ("#d1495b", "#00798c", "#66a182", "#00798c", "#66a182"), strict=True))
_LINES = {TRANSFORMER: "-"} | {name: "--" if both_ways else "-" for name, (_, both_ways) in RECURRENT.items()}


def draw(results: Mapping[str, Any], out: Path) -> None:
    """Draw what `speed`, `probe` and `train` found, as a PNG."""
    figure, panels = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
    speed, probe, runs = results["speed"]["rows"], results["probe"], results["train"]
    _times(panels[0][0], speed, "forward", 1, "one text, forward")
    _times(panels[0][1], speed, "forward and backward", 8, "eight texts, forward and backward")
    _probed(panels[0][2], probe["rows"])
    _learned(panels[1][0], runs, "step", "at equal steps")
    _learned(panels[1][1], runs, "seconds", "at equal time")
    _influence(panels[1][2], probe["influence"])
    panels[0][0].legend(fontsize="small")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _style(name: str) -> dict[str, Any]:
    return {"label": name, "color": _COLOURS[name], "linestyle": _LINES[name]}


def _times(panel: Axes, rows: list[dict[str, Any]], what: str, batch: int, title: str) -> None:
    for name in NAMES:
        of = [row for row in rows if (row["tower"], row["what"], row["batch"]) == (name, what, batch)]
        lengths = [row["length"] for row in of]
        panel.plot(lengths, [row["median_s"] * 1e3 for row in of], marker="o", markersize=3, **_style(name))
        low, high = ([row[side] * 1e3 for row in of] for side in ("lower_s", "upper_s"))
        panel.fill_between(lengths, low, high, color=_COLOURS[name], alpha=0.15, linewidth=0)
    panel.set_xscale("log", base=2)
    panel.set(yscale="log", xlabel="tokens", ylabel="CPU milliseconds, one thread", title=title)
    panel.set_xticks(lengths, [str(length) for length in lengths])
    panel.grid(alpha=0.3)


def _probed(panel: Axes, rows: list[dict[str, Any]]) -> None:
    for name in NAMES:
        by_distance: dict[int, list[float]] = {}
        for row in rows:
            if row["tower"] == name:
                by_distance.setdefault(_distance(row), []).append(row["accuracy"])
        distances = sorted(by_distance)
        panel.plot(distances, [np.mean(by_distance[d]) for d in distances], marker="o", markersize=4, **_style(name))
    panel.axhline(1 / CLASSES, color="grey", linewidth=0.8, linestyle=":")
    panel.set_xscale("symlog", base=2, linthresh=4)
    panel.set_xticks((0, 4, 8, 16, 32, 64), ("0", "4", "8", "16", "32", "64"))
    panel.set(
        xlabel="tokens from the word that decides to the end of reading",
        ylabel="right answers",
        title="a word far away",
        xlim=(-0.4, 80),
        ylim=(0, 1.05),
    )
    panel.grid(alpha=0.3)


def _distance(row: dict[str, Any]) -> int:
    """From the word that decides to the last one that is read, of both directions the nearer one."""
    before = place_of(row["place"], row["length"])
    after = row["length"] - 1 - before
    return int(min(before, after) if "both ways" in row["tower"] else after)


def _learned(panel: Axes, runs: Mapping[str, Any], unit: str, title: str) -> None:
    for name in NAMES:
        scale = 1 if unit == "step" else runs[name]["seconds_per_step"]["median_s"]
        curve = runs[name]["curve"]
        panel.plot([point["step"] * scale for point in curve], [point["R@10"] for point in curve], **_style(name))
    what = "steps" if unit == "step" else "CPU seconds of forward and backward"
    panel.set(xlabel=what, ylabel="R@10, label → picture", title=title, ylim=(0, None))
    panel.grid(alpha=0.3)


def _influence(panel: Axes, influence: Mapping[str, list[float]]) -> None:
    for name in NAMES:
        share = np.array(influence[name])
        panel.plot(np.arange(1, len(share) + 1), share * len(share), **_style(name))
    panel.set(
        yscale="log",
        xlabel="place of a token",
        ylabel="its influence, 1 = an even share",
        title="what an untrained tower hears of a text",
    )
    panel.grid(alpha=0.3)
