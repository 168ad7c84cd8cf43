"""Vision Transformer image tower (Dosovitskiy et al. 2021), as CLIP (Radford et al. 2021) and SigLIP use it."""

import torch
from torch import Tensor, nn

from model.config import ViTConfig
from model.embedding import interpolate_positions
from model.transformer import MLP, Encoder, MultiHeadAttention


class ViT(nn.Module):
    """Pictures (B, 3, Y, X) → features (B, width).

    The patches of the picture, and the class token before them, go through the encoder; the feature is the class token,
    the mean of the patches, or what a probe finds in all tokens. A picture of another size than the config's gets its
    positions interpolated.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.width = config.feature_width
        self.pooling = config.pooling
        self.grid = (config.grid, config.grid)
        # A convolution whose stride is its kernel is one linear map, the same for every patch.
        self.patch_embedding = nn.Conv2d(
            3, config.width, config.patch_size, stride=config.patch_size, bias=config.patch_bias
        )
        self.class_token = nn.Parameter(torch.randn(1, 1, config.width) * 0.02) if config.class_token else None
        tokens = config.grid**2 + config.class_token
        self.position_embedding = nn.Parameter(torch.randn(1, tokens, config.width) * 0.02)
        self.input_norm = nn.LayerNorm(config.width, config.norm_eps) if config.input_norm else nn.Identity()
        self.encoder = Encoder(
            config.width, config.layers, config.heads, config.mlp_ratio, config.activation, config.norm_eps
        )
        if config.pooling == "map":
            self.map_head = MAPHead(config)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels)  # (B, D, Y / P, X / P)
        rows, columns = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)  # (B, N, D)
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)  # (B, 1 + N, D)
        before = tokens.shape[1] - rows * columns
        positions = interpolate_positions(self.position_embedding, self.grid, (rows, columns), before)
        x: Tensor = self.encoder(self.input_norm(tokens + positions))
        match self.pooling:
            case "class":
                return x[:, 0]
            case "mean":
                return x[:, before:].mean(dim=1)
            case _:
                feature: Tensor = self.map_head(x)
                return feature


class MAPHead(nn.Module):
    """Multihead attention pooling (Lee et al. 2019): a learned probe attends to tokens (B, T, D) → (B, D)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.randn(1, 1, config.width) * config.width**-0.5)
        self.attention = MultiHeadAttention(config.width, config.heads)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        self.mlp = MLP(config.width, round(config.width * config.mlp_ratio), config.activation)

    def forward(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.attention(self.probe.expand(tokens.shape[0], -1, -1), tokens)  # (B, 1, D)
        x = x + self.mlp(self.norm(x))
        return x[:, 0]
