"""What a model could do before and after it was fine-tuned, as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import load
from training.evaluation.evaluate import measure
from training.evaluation.metrics import RANKS

Figures = Mapping[str, Mapping[str, Any]]
_DIRECTIONS = {"text_to_picture": "text → picture", "picture_to_text": "picture → text"}


def figures(model: Path, data: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Retrieval both ways, in float32, of a model folder on data sets by name."""
    encoder = load(model, runtime="torch")
    found = {}
    for name, path in data.items():
        splits = measure(encoder, path, templates=("{}",), languages=())
        for split, measured in splits.items():
            result = measured.result
            of_both = {key: result[key] for key in _DIRECTIONS}
            found[name if len(splits) == 1 else f"{name}: {split}"] = {"pictures": result["pictures"], **of_both}
    return found


def score(result: Mapping[str, Any]) -> float:
    """The mean of R@1, R@5 and R@10 in both directions."""
    recalls: list[float] = [result[key][f"R@{k}"] for key in _DIRECTIONS for k in RANKS]
    return sum(recalls) / len(recalls)


def table(before: Figures, after: Figures) -> str:
    """Markdown: a row for each data set and direction, each recall as before → after."""
    head = "| data | direction | queries | " + " | ".join(f"R@{k}" for k in RANKS) + " |"
    lines = [head, "|---" * (3 + len(RANKS)) + "|"]
    for name, of_data in before.items():
        for key, direction in _DIRECTIONS.items():
            old, new = of_data[key], after[name][key]
            recalls = (f"{old[f'R@{k}']:.3f} → {new[f'R@{k}']:.3f}" for k in RANKS)
            lines.append(f"| {name} | {direction} | {old['queries']} | {' | '.join(recalls)} |")
    return "\n".join(lines)
