"""Embeddings: patches, words and places as vectors."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.figures.lessons import PATCH, SIDE
from benchmarks.figures.look import BLUE, matrix, over, panels, picture
from benchmarks.figures.studio import Studio
from model.embedding import sinusoidal_positions

WORDS = ("cat", "dog", "lion", "red", "green", "yellow", "left", "right", "up", "car", "train", "ship")
NOSE = (4, 4)
"""Row and column of a patch of the picture that is shown."""


def patches_and_words(studio: Studio) -> Figure:
    """A picture as patches, which of them are near each other as vectors, and which words."""
    figure, axes = panels(1, 3, 10, 3.5, [1, 1, 1.25])
    (shown,) = studio.named("cat with wry smile")
    small = shown.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    picture(axes[0], _apart(small))
    axes[0].set_title(f"{(SIDE // PATCH) ** 2} patches of {PATCH} × {PATCH} pixels", loc="left", fontsize=9.5)
    patches = studio.image_tower.tower.patch_embedding(studio.pixels([shown], SIDE))[0].detach()  # (D, rows, columns)
    alike = _cosines(patches.flatten(1).T)[NOSE[0] * patches.shape[2] + NOSE[1]].view(patches.shape[1:])
    over(axes[1], shown.image.resize((144, 144), Image.Resampling.LANCZOS), alike.clamp(min=0))
    axes[1].add_patch(
        Rectangle((NOSE[1] * 18 - 0.5, NOSE[0] * 18 - 0.5), 18, 18, fill=False, edgecolor=BLUE, linewidth=2)
    )
    axes[1].set_title("embedded: like the framed one", loc="left", fontsize=9.5)
    ids = torch.tensor([int(studio.ids([word])[0][0, 1]) for word in WORDS])  # between the start and the end token
    table = studio.clip.text_tower.get_parameter("token_embedding.weight").detach()
    near = _cosines(table)[ids][:, ids]
    matrix(axes[2], near.fill_diagonal_(0), rows=WORDS, columns=WORDS, signed=True, largest=0.5)
    axes[2].set_title("cosine of the embeddings of words")
    return figure


def positions(studio: Studio) -> Figure:
    """Computed positions, and learned ones of a text and of a picture."""
    figure, axes = panels(1, 4, 11, 3.0, [1.35, 1, 1, 1])
    table = sinusoidal_positions(64, 96)
    matrix(axes[0], table, signed=True, square=False)
    axes[0].set(xlabel="number of the vector", ylabel="place")
    axes[0].set_title("sinusoidal positions")
    place = 32
    axes[1].plot(np.arange(64) - place, (table @ table[place] / table[place].square().sum()).numpy(), color=BLUE)
    axes[1].set(xlabel="distance in places", ylim=(0, 1.05))
    axes[1].grid()
    axes[1].set_title("… their product by distance")
    learned = _cosines(studio.clip.text_tower.get_parameter("position_embedding").detach())[:16, :16]
    matrix(axes[2], learned, signed=True, largest=1)
    axes[2].set(xlabel="place", ylabel="place")
    axes[2].set_title("learned, of a text: cosine")
    grid = SIDE // PATCH
    of_patches = _cosines(studio.image_tower.tower.position_embedding.detach()[0])
    mosaic = of_patches.view(grid, grid, grid, grid)[1::2, 1::2]  # (a few rows, columns, grid, grid)
    framed = functional.pad(mosaic, (1, 0, 1, 0), value=float("nan")).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    matrix(axes[3], framed[1:, 1:].nan_to_num(0), signed=True, largest=1)
    axes[3].set(xlabel="a patch's place against all others", xticks=[], yticks=[])
    axes[3].set_title("learned, of patches: cosine")
    return figure


def _cosines(table: Tensor) -> Tensor:
    centred = functional.normalize(table - table.mean(dim=0), dim=-1)
    return centred @ centred.T


def _apart(image: Image.Image, zoom: int = 6, gap: int = 6) -> Image.Image:
    """The picture with its patches drawn apart from each other."""
    cut = np.asarray(image).reshape(SIDE // PATCH, PATCH, SIDE // PATCH, PATCH, 3).swapaxes(1, 2)
    return _tiles(torch.from_numpy(cut.reshape(-1, PATCH, PATCH, 3).copy()), SIDE // PATCH, zoom, gap)


def _tiles(tiles: Tensor, columns: int, zoom: int = 6, gap: int = 6) -> Image.Image:
    """Pictures (n, Y, X, 3) of bytes, enlarged, in rows of so many."""
    rows, height, width = -(-len(tiles) // columns), tiles.shape[1] * zoom, tiles.shape[2] * zoom
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for number, tile in enumerate(tiles.numpy()):
        y, x = number // columns * (height + gap), number % columns * (width + gap)
        sheet[y : y + height, x : x + width] = tile.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return Image.fromarray(sheet)
