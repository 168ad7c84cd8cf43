"""How the figures look: one palette, one way to draw a matrix, one way to save."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from cycler import cycler

mpl.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image
from torch import Tensor

INK, FAINT = "#24292f", "#8b949e"
BLUE, ORANGE, GREEN, PURPLE = COLOURS = ("#2f6fde", "#e8590c", "#2b8a3e", "#9c36b5")
WEIGHTS, SIGNED = "Blues", "RdBu_r"
"""Colour maps: of what is not negative, and of what is either."""

mpl.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=COLOURS),
        "xtick.color": INK,
        "ytick.color": INK,
        "text.color": INK,
        "grid.alpha": 0.25,
        "legend.frameon": False,
    }
)


def panels(
    rows: int, columns: int, width: float, height: float, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of this size in inches with its panels, row by row; `ratios` are the widths of the columns."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False, width_ratios=ratios
    )
    return figure, list(axes.flat)


def matrix(
    axes: Axes,
    values: Tensor,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    largest: float | None = None,
    signed: bool = False,
    numbers: str = "",
    square: bool = True,
) -> AxesImage:
    """A matrix in colours, its rows and columns named; `numbers` is a format for the value of each cell."""
    cells = values.detach().numpy()
    bound = float(np.abs(cells).max()) if largest is None else largest
    image = axes.imshow(
        cells,
        cmap=SIGNED if signed else WEIGHTS,
        vmin=-bound if signed else 0,
        vmax=bound,
        aspect="equal" if square else "auto",
        interpolation="nearest",
    )
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if numbers:
        for (y, x), value in np.ndenumerate(cells):
            color = "white" if abs(value) > 0.6 * bound else INK
            axes.text(x, y, format(value, numbers), ha="center", va="center", fontsize=7, color=color)
    return image


def picture(axes: Axes, image: Image.Image, title: str = "") -> None:
    """A picture without axes."""
    axes.imshow(np.asarray(image))
    axes.set_axis_off()
    axes.set_title(title, fontsize=8, loc="center")


def over(axes: Axes, image: Image.Image, weights: Tensor, title: str = "") -> None:
    """A picture, pale, and on it what weight each of its patches (rows, columns) has."""
    pale = Image.blend(image.convert("L").convert("RGB"), Image.new("RGB", image.size, "white"), 0.45)
    picture(axes, pale, title)
    edges = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
    strength = (weights / weights.max()).numpy()
    axes.imshow(strength, cmap="inferno", alpha=0.75 * strength**0.7, extent=edges, interpolation="nearest")


def thumbnails(axes: Axes, images: Sequence[Image.Image], zoom: float) -> None:
    """Pictures instead of the names of a matrix's rows."""
    axes.set_yticks([])
    for row, image in enumerate(images):
        axes.add_artist(
            AnnotationBbox(
                OffsetImage(np.asarray(image), zoom=zoom),
                (-0.02, row),
                xycoords=("axes fraction", "data"),
                box_alignment=(1, 0.5),
                frameon=False,
                pad=0,
            )
        )


def save(figure: Figure, path: Path) -> None:
    """As a PNG with a palette, which is the same whenever it is drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=115, bbox_inches="tight", pad_inches=0.06, metadata={"Software": None})
    plt.close(figure)
    with Image.open(path) as drawn:
        drawn.convert("RGB").quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
