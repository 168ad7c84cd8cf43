"""Text tower: a bidirectional Transformer over subword tokens."""

import torch
from torch import Tensor, nn

from model.config import TextConfig
from model.transformer import Encoder


class TextTransformer(nn.Module):
    """Token ids (B, T) and their mask (B, T), True on real tokens → features (B, width): the mean over real tokens.

    T may be any length up to `context_length`: padding changes nothing, so a batch is as long as its longest text.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.width = config.width
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Parameter(torch.randn(config.context_length, config.width) * 0.01)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        self.encoder = Encoder(config.width, config.layers, config.heads, config.mlp_ratio)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x: Tensor = self.token_embedding(ids) + self.position_embedding[: ids.shape[1]]  # (B, T, D)
        x = self.encoder(x, mask[:, None, None, :])
        real = mask[:, :, None].to(x.dtype)
        return (x * real).sum(dim=1) / real.sum(dim=1)
