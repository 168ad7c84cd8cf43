"""What relevance is worth: how often what it calls likely is true, and what a cutoff gives and keeps back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from model.calibration import Kind

mpl.use("Agg")
from matplotlib import pyplot as plt

THRESHOLDS = (0.5, 0.8)
SIZES = (30, 300, 3000)
"""Borders between collections that are reported apart."""
_TITLES: dict[Kind, str] = {"text": "queries by words", "image": "queries by picture"}


@dataclass(frozen=True, slots=True)
class Judged:
    """The pictures of many trials (n,), with what a calibration says of each and what is true."""

    probabilities: NDArray[np.float64]
    relevant: NDArray[np.bool_]
    trial: NDArray[np.int64]
    """Which trial each picture belongs to."""
    groups: list[str]
    """Of each trial's query."""
    splits: list[str]
    """Of each trial's query."""
    sizes: NDArray[np.int64]
    """Of each trial's collection."""
    matches: NDArray[np.int64]
    """How many pictures of its collection are relevant."""


def summary(judged: Judged) -> dict[str, Any]:
    """Calibration error, and what each of `THRESHOLDS` gives: of all trials, by group, split and collection size."""
    result = _of(judged, np.ones(len(judged.sizes), np.bool_))
    for kind, names in (("groups", judged.groups), ("splits", judged.splits)):
        if len(distinct := sorted(set(names))) > 1:
            result[kind] = {name: _of(judged, np.array(names) == name) for name in distinct}
    result["sizes"] = {}
    for low, high in zip((0, *SIZES), (*SIZES, None), strict=True):
        chosen = (judged.sizes >= low) & (judged.sizes < (high or np.inf))
        if chosen.any():
            result["sizes"][f"{low}–{high - 1}" if high else f"{low}–"] = _of(judged, chosen)
    return result


def _of(judged: Judged, trials: NDArray[np.bool_]) -> dict[str, Any]:
    """Of some of the trials."""
    pictures = trials[judged.trial]
    said, relevant = judged.probabilities[pictures], judged.relevant[pictures]
    matchless = trials & (judged.matches == 0)
    result: dict[str, Any] = {"searches": int(trials.sum()), "matchless": int(matchless.sum())}
    result["calibration_error"] = calibration_error(said, relevant)
    shown = said >= 0.05
    result["calibration_error_above_0.05"] = calibration_error(said[shown], relevant[shown])
    for threshold in THRESHOLDS:
        taken = said >= threshold
        answered = np.zeros(len(trials), np.bool_)
        answered[judged.trial[pictures][taken]] = True
        result[str(threshold)] = {
            "results": int(taken.sum()),
            "precision": _share(int(relevant[taken].sum()), int(taken.sum())),
            "recall": _share(int(relevant[taken].sum()), int(relevant.sum())),
            "matchless_answered_with_nothing": _share(int((matchless & ~answered).sum()), int(matchless.sum())),
        }
    return result


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def calibration_error(said: NDArray[np.float64], relevant: NDArray[np.bool_], bins: int = 10) -> float | None:
    """Expected calibration error (Naeini et al. 2015): mean distance of probability and frequency, over equal bins."""
    return (
        sum(count * abs(mean - share) for count, mean, share in reliability(said, relevant, bins)) / len(said)
        if len(said)
        else None
    )


def reliability(
    said: NDArray[np.float64], relevant: NDArray[np.bool_], bins: int = 10
) -> list[tuple[int, float, float]]:
    """Of each bin that has any pictures: how many, their mean probability, the share of relevant ones."""
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    return [
        (int(inside.sum()), float(said[inside].mean()), float(relevant[inside].mean()))
        for number in range(bins)
        if (inside := place == number).any()
    ]


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: what each threshold gives, by kind of query and slice."""
    lines = [
        "| queries | threshold | searches | results | precision | recall | without a match: answered with nothing |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, whole in summaries.items():
        slices = {"all": whole}
        for of in ("groups", "splits", "sizes"):
            slices |= {f"{of[:-1]} {name}": part for name, part in whole.get(of, {}).items()}
        for name, part in slices.items():
            for threshold in THRESHOLDS:
                given = part[str(threshold)]
                shares = (given["precision"], given["recall"], given["matchless_answered_with_nothing"])
                shown = " | ".join("–" if share is None else f"{share:.3f}" for share in shares)
                lines.append(
                    f"| {kind}, {name} | {threshold} | {part['searches']:,} | {given['results']:,} | {shown} |"
                )
    return "\n".join(lines)


def draw_reliability(judged: Mapping[Kind, Judged], out: Path) -> None:
    """A reliability diagram for each kind of query: stated probability against the share of relevant pictures."""
    figure, panels = plt.subplots(
        1, len(judged), figsize=(4.2 * len(judged), 4.0), sharey=True, layout="constrained", squeeze=False
    )
    for panel, (kind, of_kind) in zip(panels[0], judged.items(), strict=True):
        counts, means, shares = zip(*reliability(of_kind.probabilities, of_kind.relevant), strict=True)
        panel.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="as stated")
        panel.plot(means, shares, marker="o", label="on queries not fitted on")
        for mean, share, count in zip(means, shares, counts, strict=True):
            offset = (4, -12) if share > 0.05 else (10, 2)  # clear of the axis
            panel.annotate(f"{count:,}", (mean, share), offset, textcoords="offset points", fontsize="x-small")
        panel.set(title=_TITLES[kind], xlabel="relevance", xlim=(0, 1.08), ylim=(0, 1.05))
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("share of relevant pictures")
    panels[0][0].legend(fontsize="small")
    figure.savefig(out, dpi=120)
    plt.close(figure)
