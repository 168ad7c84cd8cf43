"""Vision Transformer image tower (Dosovitskiy et al. 2021)."""

import torch
from torch import Tensor, nn

from model.config import ViTConfig
from model.transformer import Encoder


class ViT(nn.Module):
    """Pictures (B, 3, S, S) → features (B, width): the class token after the last block."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.width = config.width
        tokens = (config.image_size // config.patch_size) ** 2
        # A convolution whose stride is its kernel is one linear map, the same for every patch.
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)
        self.class_token = nn.Parameter(torch.randn(1, 1, config.width) * 0.02)
        self.position_embedding = nn.Parameter(torch.randn(1, 1 + tokens, config.width) * 0.02)
        self.encoder = Encoder(config.width, config.layers, config.heads, config.mlp_ratio)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)  # (B, T, D)
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)  # (B, 1 + T, D)
        out: Tensor = self.encoder(tokens + self.position_embedding)
        return out[:, 0]
