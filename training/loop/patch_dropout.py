"""Patch dropout (FLIP: Li et al. 2023): in training the image tower sees a random part of each picture's patches."""

from typing import Any

import torch
from torch import Tensor, nn

from model.vit import ViT


def drop_patches(tower: ViT, share: float) -> None:
    """Leave out that share of the patches, others for each picture, whenever the tower is in training mode.

    Positions are added before, and a class token always stays.
    """

    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not tower.training:
            return None
        tokens, *others = arguments
        return (_some(tokens, share, int(tower.class_token is not None)), *others)

    tower.encoder.register_forward_pre_hook(hook)


def _some(tokens: Tensor, share: float, before: int) -> Tensor:
    """(B, before + N, D) → (B, before + kept, D); at least one patch is kept."""
    count, patches, width = tokens.shape[0], tokens.shape[1] - before, tokens.shape[2]
    kept = max(1, round(patches * (1 - share)))
    chosen = torch.rand(count, patches, device=tokens.device).topk(kept, dim=1).indices + before  # (B, kept)
    always = torch.arange(before, device=tokens.device).expand(count, before)
    places = torch.cat([always, chosen], dim=1)
    return tokens.gather(1, places[:, :, None].expand(-1, -1, width))
