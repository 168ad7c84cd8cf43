"""A locked tower (LiT: Zhai et al. 2022): one side stays as it was pre-trained, the other learns to meet it."""

from typing import Literal

from torch import nn

from model.clip import CLIP

Locked = Literal["none", "image", "text"]


def lock(model: CLIP, locked: Locked) -> None:
    """Take a tower and its projection out of training. Its vectors stay the same: an index of them stays valid."""
    for part in _parts(model, locked):
        part.requires_grad_(False)


def training_mode(model: CLIP, locked: Locked) -> None:
    """Training mode for all but the locked tower, whose batch statistics stay."""
    model.train()
    for part in _parts(model, locked):
        part.eval()


def _parts(model: CLIP, locked: Locked) -> tuple[nn.Module, ...]:
    match locked:
        case "none":
            return ()
        case "image":
            return model.image_tower, model.image_projection
        case "text":
            return model.text_tower, model.text_projection
