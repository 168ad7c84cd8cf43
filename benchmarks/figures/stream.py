"""The joint stream, and the recurrent tower that attention replaced."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.figures.lessons import COLOUR_WORDS, SHAPE_PATCH, SHAPE_SIDE, SHAPE_WORDS, shapes
from benchmarks.figures.look import BLUE, FAINT, ORANGE, matrix, over, panels, picture
from benchmarks.figures.studio import Studio
from benchmarks.figures.watch import watched

LONG_TEXT = "red heart on a white card between two hands"


def joint(studio: Studio) -> Figure:
    """Patches and words in one stream: who looks at whom, and whether the words are held to match."""
    torch.manual_seed(4)
    pictures = shapes(torch.tensor([0, 2, 1]), torch.tensor([2, 1, 0]))
    said = torch.tensor([[0, 4 + 2], [0, 4 + 1], [1, 4 + 2]])  # right, a wrong colour, a wrong shape
    words = (*COLOUR_WORDS, *SHAPE_WORDS)
    blocks = studio.joint.encoder.blocks
    with watched(*(block.get_submodule("attention") for block in blocks)) as looks:
        right = studio.joint(pictures, said, torch.ones(3, 2, dtype=torch.bool)).sigmoid()[:, 0]
    grid = SHAPE_SIDE // SHAPE_PATCH
    patches = grid**2
    weights = looks[0].weights.mean(dim=1)  # (B, T, T): the mean over the heads of the first block
    figure, axes = panels(2, 4, 10, 4.8, [1.9, 1, 1, 1])
    for panel in axes:
        panel.set_axis_off()
    spec = axes[0].get_subplotspec()
    assert spec is not None
    whole = figure.add_subplot(spec.get_gridspec()[:, 0])
    shown = weights[0] / weights[0].amax(dim=1, keepdim=True)
    matrix(whole, shown, largest=1)
    for border in (0.5, patches + 0.5):
        whole.axhline(border, color=ORANGE, linewidth=0.8)
        whole.axvline(border, color=ORANGE, linewidth=0.8)
    ticks, names = [0, patches / 2, patches + 1.5], ["pair", f"{patches} patches", "words"]
    whole.set_xticks(ticks, names)
    whole.set_yticks(ticks, names)
    whole.set_title("who looks at whom, first block")
    for column in range(3):
        image = Image.fromarray((pictures[column].permute(1, 2, 0) * 255).byte().numpy())
        image = image.resize((144, 144), Image.Resampling.NEAREST)
        text = " ".join(words[word] for word in said[column])
        image = ImageOps.expand(image, border=2, fill=FAINT)
        picture(axes[1 + column], image, f"“{text}”: {right[column]:.0%} a match")
        looked = weights[column, patches + 2, 1 : 1 + patches].view(grid, grid)
        over(axes[5 + column], image, looked, f"where “{words[said[column, 1]]}” looks")
    return figure


def recurrent(studio: Studio) -> Figure:
    """How much each token of a text counts for its feature: read one after the other, and all at once."""
    ids, mask = studio.ids([LONG_TEXT])
    pieces = studio.pieces(LONG_TEXT)
    figure, axes = panels(1, 2, 9.5, 3.0, [1.5, 1])
    unseen = studio.unseen()
    with torch.no_grad():
        images = studio.clip.encode_image(studio.pixels(unseen))
    for kind, name, offset, color in (
        ("lstm", "LSTM, last state", -0.2, ORANGE), ("transformer", "Transformer, mean", 0.2, BLUE),
    ):  # fmt: skip
        tower = studio.text_tower(kind)
        with torch.no_grad():
            whole = tower(ids, mask)
            moved = torch.stack(
                [
                    1 - (whole * tower(_without(ids, place), _without(mask, place))).sum()
                    for place in range(ids.shape[1])
                ]
            )
            found = images @ tower(*studio.ids([each.name for each in unseen])).T  # (pictures, texts)
        axes[0].bar(np.arange(ids.shape[1]) + offset, moved.numpy(), width=0.36, label=name, color=color)
        rank = (found > found.diagonal()).sum(dim=0)
        ks = (1, 2, 5, 10, 20, 50)
        axes[1].semilogx(ks, [(rank < k).float().mean().item() for k in ks], marker="o", label=name, color=color)
    axes[0].set_xticks(range(len(pieces)), pieces, rotation=45, ha="right", rotation_mode="anchor")
    axes[0].set_title("change of the vector when a token is left out (1 − cosine)")
    axes[0].set_ylim(0, 1.2 * axes[0].get_ylim()[1])
    axes[0].legend(ncols=2, loc="upper left")
    axes[1].set(title=f"recall@k, {len(unseen)} unseen names and pictures", xlabel="k", ylim=(0, 1))
    axes[1].set_xticks(ks, [str(k) for k in ks])
    axes[1].minorticks_off()
    axes[1].grid()
    return figure


def _without(tokens: Tensor, place: int) -> Tensor:
    return torch.cat([tokens[:, :place], tokens[:, place + 1 :]], dim=1)
