"""CLIP: two towers that meet in one latent space (Radford et al. 2021)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import HybridConfig, ModelConfig, ResNetConfig, VisionConfig
from model.resnet import Hybrid, ResNet
from model.text import TextTransformer
from model.vit import ViT

INITIAL_TEMPERATURE = 0.07


class CLIP(nn.Module):
    """An image tower, a text tower, a linear projection from each into the shared embedding, and the logit scale.

    `log_logit_scale` is learned as a logarithm, so that the scale stays positive; it starts at 1 / 0.07, as in the
    paper.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image_tower = image_tower(config.vision)
        self.text_tower = TextTransformer(config.text)
        self.image_projection = nn.Linear(self.image_tower.width, config.embedding_dim, bias=False)
        self.text_projection = nn.Linear(self.text_tower.width, config.embedding_dim, bias=False)
        for projection in (self.image_projection, self.text_projection):
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Preprocessed pictures (B, 3, S, S) → unit vectors (B, embedding_dim)."""
        return functional.normalize(self.image_projection(self.image_tower(pixels)), dim=-1)

    def encode_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids (B, T) with their mask (B, T), True on real tokens → unit vectors (B, embedding_dim)."""
        return functional.normalize(self.text_projection(self.text_tower(ids, mask)), dim=-1)


def image_tower(config: VisionConfig) -> ViT | ResNet | Hybrid:
    """The tower that `config` describes."""
    match config:
        case ResNetConfig():
            return ResNet(config)
        case HybridConfig():
            return Hybrid(config)
        case _:
            return ViT(config)
