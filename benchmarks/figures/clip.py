"""CLIP: what its image towers see, the space where pictures and texts meet, and the loss that makes it."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from benchmarks.figures.lessons import PATCH, SIDE
from benchmarks.figures.look import BLUE, ORANGE, matrix, over, panels, picture, thumbnails
from benchmarks.figures.studio import Named, Studio
from benchmarks.figures.watch import watched
from training.loop.loss import contrastive_loss

BATCH = (
    "grinning cat", "cat with wry smile", "crying cat", "red apple", "green apple", "rocket", "sailboat", "hot dog",
)  # fmt: skip
"""Some of them neighbours, which are hard to tell apart."""


def vit(studio: Studio) -> Figure:
    """Where the probe of a small ViT looks in pictures that it has not been trained on."""
    shown = _well_found(studio, 8)
    with watched(studio.image_tower.tower.map_head.attention) as looks:
        studio.image_tower(studio.pixels(shown, SIDE))
    (look,) = looks
    grid = SIDE // PATCH
    figure, axes = panels(2, len(shown), 11, 3.1)
    for column, each in enumerate(shown):
        small = each.image.resize((144, 144), Image.Resampling.LANCZOS)
        picture(axes[column], small, each.name if len(each.name) < 17 else each.name[:15] + "…")
        over(axes[len(shown) + column], small, look.weights[column, :, 0].mean(dim=0).view(grid, grid))
    return figure


def _well_found(studio: Studio, count: int) -> list[Named]:
    """Of the pictures that the ViT has not seen those that are nearest to their names, of different kinds."""
    unseen = studio.unseen()
    with torch.no_grad():
        images = studio.image_tower(studio.pixels(unseen, SIDE))
        texts = studio.clip.encode_text(*studio.ids([each.name for each in unseen]))
    order = (images * texts).sum(dim=1).argsort(descending=True).tolist()
    chosen: list[int] = []
    for row in order:
        if all(float(texts[row] @ texts[other]) < 0.35 for other in chosen):
            chosen.append(row)
    return [unseen[row] for row in chosen[:count]]


def resnet(studio: Studio) -> Figure:
    """The strongest channels of each stage of the shipped ResNet, for one picture."""
    (shown,) = studio.named("lion")
    stages = studio.clip.image_tower.get_submodule("stages")
    maps: list[Tensor] = []
    depths = studio.folder.config.vision.stage_depths  # type: ignore[union-attr]
    ends = [0, *(sum(depths[: stage + 1]) for stage in range(len(depths)))]
    hooks = [
        stages.get_submodule(str(end)).register_forward_hook(lambda _m, _given, out: maps.append(out[0]))
        for end in ends
    ]
    with torch.no_grad():
        studio.clip.encode_image(studio.pixels([shown]))
    for hook in hooks:
        hook.remove()
    rows, columns = 3, len(maps) + 1
    figure, axes = panels(rows, columns, 9, 4.6)
    for panel in axes:
        panel.set_axis_off()
    side = studio.folder.config.vision.image_size
    picture(axes[columns], shown.image.resize((side, side), Image.Resampling.LANCZOS), f"{side} × {side} pixels")
    for column, values in enumerate(maps, start=1):
        strongest = values.flatten(1).std(dim=1).argsort(descending=True)[:rows]
        for row, channel in enumerate(strongest):
            panel = axes[row * columns + column]
            panel.imshow(values[channel].numpy(), cmap="magma", interpolation="nearest")
        name = "stem" if column == 1 else f"stage {column - 1}"
        axes[column].set_title(
            f"{name}: {len(values)} × {values.shape[1]} × {values.shape[2]}", fontsize=8, loc="center"
        )
    return figure


def similarity(studio: Studio) -> Figure:
    """Cosines of all pairs of a batch: on the diagonal what belongs together."""
    shown = studio.named(*BATCH)
    figure, axes = panels(1, 1, 5.6, 4.6)
    images, texts = _vectors(studio, shown)
    matrix(axes[0], images @ texts.T, columns=BATCH, signed=True, largest=1, numbers=".2f")
    thumbnails(axes[0], [each.image for each in shown], zoom=0.19)
    axes[0].set_title("cosine of picture and text")
    return figure


def loss(studio: Studio) -> Figure:
    """The same batch, scaled and made probabilities in both directions, and the loss of each row and column."""
    shown = studio.named(*BATCH)
    scale = studio.clip.log_logit_scale.detach().exp()
    images, texts = _vectors(studio, shown)
    logits = scale * images @ texts.T
    own = torch.arange(len(shown))
    total = contrastive_loss(images, texts, own, own, scale)
    figure, axes = panels(1, 3, 11, 3.9, [1.1, 1, 0.9])
    for panel, dim, title in (
        (axes[0], 1, "of each picture: which text? (rows add to 1)"),
        (axes[1], 0, "of each text: which picture? (columns add to 1)"),
    ):
        matrix(panel, logits.softmax(dim=dim), columns=BATCH, largest=1, numbers=".2f")
        panel.set_title(title)
    thumbnails(axes[0], [each.image for each in shown], zoom=0.15)
    axes[1].set_yticks([])
    places = np.arange(len(shown))
    for offset, dim, name, color in ((-0.18, 1, "picture → text", BLUE), (0.18, 0, "text → picture", ORANGE)):
        terms = -logits.log_softmax(dim=dim).diagonal().numpy()
        axes[2].barh(places + offset, terms, height=0.34, label=f"{name}: mean {terms.mean():.3f}", color=color)
    axes[2].set(
        ylim=(len(shown) - 0.5, -0.5), yticks=range(len(shown)), title=f"−log of the diagonal; the loss is {total:.3f}"
    )
    axes[2].set_yticklabels(BATCH, fontsize=8)
    axes[2].legend(fontsize=8, loc="lower right")
    return figure


def _vectors(studio: Studio, shown: list[Named]) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return studio.clip.encode_image(studio.pixels(shown)), studio.clip.encode_text(
            *studio.ids([each.name for each in shown])
        )
