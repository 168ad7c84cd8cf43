"""Text tower: a Transformer over subword tokens, bidirectional or causal (CLIP: Radford et al. 2021)."""

import torch
from torch import Tensor, nn

from model.config import TextConfig
from model.transformer import Encoder, causal_mask, padding_mask


class TextTransformer(nn.Module):
    """Token ids (B, T) and their mask (B, T), True on real tokens → features (B, width).

    T may be any length up to `context_length`, so a batch is as long as its longest text: padding stands behind a text
    and changes nothing. A tower that reads its padding (`TextConfig.reads_padding`) needs T = `context_length`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.width = config.feature_width
        self.causal = config.attention == "causal"
        self.attends_padding = config.attends_padding
        self.pooling = config.pooling
        self.eot_id = -1 if config.eot_id is None else config.eot_id  # no token is -1
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Parameter(torch.randn(config.context_length, config.width) * 0.01)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        self.encoder = Encoder(
            config.width, config.layers, config.heads, config.mlp_ratio, config.activation, config.norm_eps
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x: Tensor = self.token_embedding(ids) + self.position_embedding[: ids.shape[1]]  # (B, T, D)
        x = self.encoder(x, self._may_look(mask))
        match self.pooling:
            case "mean":
                return mean_of_real(x, mask)
            case "first_eot":
                first = (ids == self.eot_id).int().argmax(dim=1)  # (B,); of equal values argmax takes the first
                return x[torch.arange(x.shape[0], device=x.device), first]
            case _:
                return x[:, -1]

    def _may_look(self, mask: Tensor) -> Tensor | None:
        """The encoder's mask, broadcastable to (B, H, T, T)."""
        may_look = None if self.attends_padding else padding_mask(mask)
        if self.causal:
            earlier = causal_mask(mask.shape[1], mask.shape[1], mask.device)
            may_look = earlier if may_look is None else may_look & earlier
        return may_look


def mean_of_real(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x (B, T, D) over the tokens on which mask (B, T) is True → (B, D)."""
    real = mask[:, :, None].to(x.dtype)
    return (x * real).sum(dim=1) / real.sum(dim=1)
