"""The result of an evaluation as pictures and tables."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

DIRECTIONS = {
    "text_to_picture": "text → picture",
    "picture_to_text": "picture → text",
    "picture_to_gallery": "picture → gallery",
}


def table(result: dict[str, Any]) -> str:
    """Markdown: one row a split and direction."""
    lines = ["| split | direction | queries | R@1 | R@5 | R@10 | median rank |", "|---|---|---|---|---|---|---|"]
    for split, measured in result.items():
        for key, name in DIRECTIONS.items():
            if key in measured:
                m = measured[key]
                recalls = " | ".join(f"{m[f'R@{k}']:.3f}" for k in (1, 5, 10))
                lines.append(f"| {split} | {name} | {m['queries']} | {recalls} | {m['median_rank']:.0f} |")
    return "\n".join(lines)


def draw_recalls(result: dict[str, Any], out: Path) -> None:
    """Recall at 1, 5 and 10 of every split, one panel a direction, as a PNG."""
    directions = [key for key in DIRECTIONS if any(key in measured for measured in result.values())]
    figure, panels = plt.subplots(
        1, len(directions), figsize=(4.2 * len(directions), 3.6), sharey=True, layout="constrained", squeeze=False
    )
    for panel, key in zip(panels[0], directions, strict=True):
        for split, measured in result.items():
            if key in measured:
                panel.plot([1, 5, 10], [measured[key][f"R@{k}"] for k in (1, 5, 10)], marker="o", label=split)
        panel.set(title=DIRECTIONS[key], xlabel="k", xticks=[1, 5, 10], ylim=(0, 1))
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("recall@k")
    panels[0][-1].legend(fontsize="small")
    figure.savefig(out, dpi=120)
    plt.close(figure)
