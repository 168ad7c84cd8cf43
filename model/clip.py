"""CLIP: two towers that meet in one latent space (Radford et al. 2021), and SigLIP (Zhai et al. 2023)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import (
    HybridConfig,
    ModelConfig,
    ModifiedResNetConfig,
    ResNetConfig,
    TextConfig,
    TextTowerConfig,
    VisionConfig,
)
from model.modified_resnet import ModifiedResNet
from model.recurrent import RecurrentText
from model.resnet import Hybrid, ResNet
from model.text import TextTransformer
from model.vit import ViT

INITIAL_TEMPERATURE = 0.07
SIGMOID_INITIAL_TEMPERATURE, SIGMOID_INITIAL_BIAS = 0.1, -10.0


class CLIP(nn.Module):
    """An image tower, a text tower, a projection from each into the shared embedding, the logit scale and bias.

    The logit of a picture and a text is exp(`log_logit_scale`) · cosine + `logit_bias`. The scale is learned as a
    logarithm, so that it stays positive; training may bound it, here it is what it is. It starts at 1 / 0.07, as in
    CLIP. The bias is SigLIP's, whose sigmoid asks of each pair by itself whether it matches; only a model whose config
    says so has one. It starts at -10 and the scale at 10, as most pairs do not match.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image_tower = image_tower(config.vision)
        self.text_tower = text_tower(config.text)
        self.image_projection = projection(config.image_projection, self.image_tower.width, config.embedding_dim)
        self.text_projection = projection(config.text_projection, self.text_tower.width, config.embedding_dim)
        temperature = SIGMOID_INITIAL_TEMPERATURE if config.logit_bias else INITIAL_TEMPERATURE
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.logit_bias = nn.Parameter(torch.tensor(SIGMOID_INITIAL_BIAS)) if config.logit_bias else None

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Preprocessed pictures (B, 3, S, S) → unit vectors (B, embedding_dim)."""
        return functional.normalize(self.image_projection(self.image_tower(pixels)), dim=-1)

    def encode_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids (B, T) with their mask (B, T), True on real tokens → unit vectors (B, embedding_dim)."""
        return functional.normalize(self.text_projection(self.text_tower(ids, mask)), dim=-1)


def image_tower(config: VisionConfig) -> ViT | ResNet | Hybrid | ModifiedResNet:
    """The tower that `config` describes."""
    match config:
        case ResNetConfig():
            return ResNet(config)
        case HybridConfig():
            return Hybrid(config)
        case ModifiedResNetConfig():
            return ModifiedResNet(config)
        case _:
            return ViT(config)


def text_tower(config: TextTowerConfig) -> TextTransformer | RecurrentText:
    """The tower that `config` describes."""
    return TextTransformer(config) if isinstance(config, TextConfig) else RecurrentText(config)


def projection(kind: Literal["linear", "affine", "none"], width: int, embedding_dim: int) -> nn.Module:
    """From a tower's feature (B, width) to the embedding (B, embedding_dim): a matrix, a matrix and a bias, nothing."""
    if kind == "none":
        return nn.Identity()
    linear = nn.Linear(width, embedding_dim, bias=kind == "affine")
    nn.init.normal_(linear.weight, std=width**-0.5)
    if kind == "affine":
        nn.init.zeros_(linear.bias)
    return linear
