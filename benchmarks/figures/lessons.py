"""Small models and what they are taught, a minute or less each: what the shipped model lacks and the figures show."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from model.clip import projection, text_tower
from model.config import RecurrentTextConfig, TextConfig, TextTowerConfig, ViTConfig
from model.embedding import PatchEmbedding, SinusoidalPositions, TokenEmbedding
from model.joint import JointEncoder
from model.seq2seq import Seq2Seq
from model.vit import ViT

SIDE, PATCH, SCALE = 48, 6, 20.0
"""Of the ViT's pictures and patches, in pixels; and the logit scale, which is not learned here."""

START, END, DIGITS, LONGEST = 10, 11, 10, 8
EXAMPLE = (3, 1, 4, 1, 5, 9, 2, 6)

SHAPE_SIDE, SHAPE_PATCH, SHAPE = 24, 4, 14
COLOUR_WORDS, SHAPE_WORDS = ("red", "green", "blue", "yellow"), ("square", "frame", "cross")
COLOURS = torch.tensor([[0.85, 0.1, 0.15], [0.15, 0.6, 0.2], [0.15, 0.35, 0.9], [0.95, 0.8, 0.1]])


def practise(model: nn.Module, steps: int, rate: float, loss_of: Callable[[], Tensor], name: str) -> None:
    """AdamW on one loss after the other, the learning rate going up and down once."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    progress = tqdm(range(steps), desc=f"teaching {name}", unit="step")
    for _ in progress:
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)


def contrast(one: Tensor, other: Tensor) -> Tensor:
    """CLIP's loss of unit vectors (B, D), each row's partner being the same row of the other."""
    logits = SCALE * one @ other.T
    partner = torch.arange(len(logits))
    return (functional.cross_entropy(logits, partner) + functional.cross_entropy(logits.T, partner)) / 2


class LockedText(nn.Module):
    """A ViT whose pictures meet texts that stay where they are (Zhai et al. 2022): pictures → unit vectors (B, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.tower = ViT(
            ViTConfig(
                image_size=SIDE, patch_size=PATCH, width=96, layers=4, heads=4, mlp_ratio=2, class_token=False,
                pooling="map",
            )
        )  # fmt: skip
        self.projection = projection("linear", self.tower.width, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        return functional.normalize(self.projection(self.tower(pixels)), dim=-1)


def teach_names(model: LockedText, pixels: Tensor, texts: Tensor, steps: int = 700, batch: int = 128) -> None:
    """Pictures (n, 3, SIDE, SIDE) to their texts' unit vectors (n, dim); each time the picture stands elsewhere."""
    background = pixels[0, :, 0, 0].view(1, 3, 1, 1)
    room = 5
    padded = functional.pad(pixels - background, [room] * 4) + background

    def loss() -> Tensor:
        rows = torch.randperm(len(pixels))[:batch]
        y, x = torch.randint(2 * room + 1, (2,)).tolist()
        drawn = padded[rows, :, y : y + SIDE, x : x + SIDE]
        drawn = drawn * (0.8 + 0.4 * torch.rand(batch, 3, 1, 1))
        return contrast(model(drawn), texts[rows])

    practise(model, steps, 2e-3, loss, "a ViT")


def reverser() -> Seq2Seq:
    """An encoder and a decoder for digits."""
    return Seq2Seq(
        TokenEmbedding(DIGITS + 2, 64),
        TokenEmbedding(DIGITS + 2, 64),
        SinusoidalPositions(LONGEST, 64),
        SinusoidalPositions(LONGEST + 1, 64),
        layers=2,
        heads=4,
        mlp_ratio=2,
    )


def teach_reversing(model: Seq2Seq, steps: int = 300) -> None:
    """Sequences of LONGEST digits, to be written backwards."""

    def loss() -> Tensor:
        source = torch.randint(DIGITS, (128, LONGEST))
        expected = functional.pad(source.flip(1), (0, 1), value=END)
        target = functional.pad(expected[:, :-1], (1, 0), value=START)
        return functional.nll_loss(model(source, target).flatten(0, 1), expected.flatten())

    practise(model, steps, 4e-3, loss, "a decoder")


def joint() -> JointEncoder:
    """One encoder over a picture of a shape and two words."""
    return JointEncoder(
        PatchEmbedding(3, SHAPE_PATCH, 64),
        (SHAPE_SIDE // SHAPE_PATCH) ** 2,
        TokenEmbedding(len(COLOUR_WORDS) + len(SHAPE_WORDS), 64),
        2,
        layers=2,
        heads=4,
        mlp_ratio=2,
    )


def shapes(colour: Tensor, shape: Tensor) -> Tensor:
    """Pictures (B, 3, SHAPE_SIDE, SHAPE_SIDE) of these colours and shapes (B,), anywhere on white."""
    square, frame, cross = torch.ones(SHAPE, SHAPE), torch.ones(SHAPE, SHAPE), torch.zeros(SHAPE, SHAPE)
    frame[3:-3, 3:-3] = 0
    middle = slice(SHAPE // 2 - 2, SHAPE // 2 + 2)
    cross[middle] = cross[:, middle] = 1
    forms = torch.stack([square, frame, cross])
    paint = torch.zeros(len(shape), SHAPE_SIDE, SHAPE_SIDE)
    for canvas, drawn in zip(paint, forms[shape], strict=True):
        y, x = torch.randint(SHAPE_SIDE - SHAPE + 1, (2,)).tolist()
        canvas[y : y + SHAPE, x : x + SHAPE] = drawn
    return 1 - paint[:, None] * (1 - COLOURS[colour][:, :, None, None])


def teach_matching(model: JointEncoder, steps: int = 400, batch: int = 128) -> None:
    """Which pairs of a picture and two words match: half do, the others differ in one word or in both."""

    def loss() -> Tensor:
        colour, shape = torch.randint(4, (batch,)), torch.randint(3, (batch,))
        match, wrong = torch.rand(batch) < 0.5, torch.randint(3, (batch,))
        said_colour = torch.where(match | (wrong == 0), colour, (colour + torch.randint(1, 4, (batch,))) % 4)
        said_shape = torch.where(match | (wrong == 1), shape, (shape + torch.randint(1, 3, (batch,))) % 3)
        pictures = shapes(colour, shape) + 0.05 * torch.randn(batch, 3, SHAPE_SIDE, SHAPE_SIDE)
        words = torch.stack([said_colour, 4 + said_shape], dim=1)
        logits = model(pictures, words, torch.ones(batch, 2, dtype=torch.bool))[:, 0]
        return functional.binary_cross_entropy_with_logits(logits, match.float())

    practise(model, steps, 2e-3, loss, "a joint stream")


class LockedImages(nn.Module):
    """A text tower whose texts meet pictures that stay where they are: ids and mask (B, T) → unit vectors (B, dim)."""

    def __init__(self, kind: str, vocab_size: int, dim: int) -> None:
        super().__init__()
        size = {"vocab_size": vocab_size, "context_length": 32, "width": 128, "layers": 2}
        config: TextTowerConfig = (
            TextConfig.model_validate(size | {"heads": 4})
            if kind == "transformer"
            else RecurrentTextConfig.model_validate(size | {"kind": kind})
        )
        self.tower = text_tower(config)
        self.projection = projection("linear", self.tower.width, dim)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return functional.normalize(self.projection(self.tower(ids, mask)), dim=-1)


def teach_texts(model: LockedImages, ids: Tensor, mask: Tensor, pictures: Tensor, steps: int = 300) -> None:
    """Texts (n, T) to their pictures' unit vectors (n, dim)."""

    def loss() -> Tensor:
        rows = torch.randperm(len(ids))[:256]
        longest = int(mask[rows].sum(dim=1).max())
        return contrast(model(ids[rows, :longest], mask[rows, :longest]), pictures[rows])

    practise(model, steps, 2e-3, loss, "a text tower")
