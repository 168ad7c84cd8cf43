"""The joint stream: one encoder in which image tokens and text tokens look at each other from the first block on.

Two towers meet in a cosine only; here every word can ask every patch (UNITER: Chen et al. 2020; ViLT: Kim et al. 2021).
It costs a pass for each pair of a picture and a text, so it re-ranks rather than searches.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from model.config import Activation
from model.embedding import ContinuousEmbedding, LearnedPositions, PatchEmbedding, TokenEmbedding
from model.transformer import Encoder, OutputLayer, padding_mask


class JointEncoder(nn.Module):
    """A picture and a text → `outputs` numbers for the pair (B, outputs), read off a learned first token.

    `image_embedding` makes N `image_tokens` of what it is given, pictures or features; `text_embedding` embeds up to
    `text_tokens` ids. Each token is its embedding, its position and its modality, added.
    """

    def __init__(
        self,
        image_embedding: PatchEmbedding | ContinuousEmbedding,
        image_tokens: int,
        text_embedding: TokenEmbedding,
        text_tokens: int,
        layers: int,
        heads: int,
        mlp_ratio: float = 4.0,
        activation: Activation = "gelu",
        outputs: int = 1,
        output_activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        width = text_embedding.width
        self.image_embedding = image_embedding
        self.text_embedding = text_embedding
        self.image_positions = LearnedPositions(image_tokens, width)
        self.text_positions = LearnedPositions(text_tokens, width)
        self.image_modality = nn.Parameter(torch.randn(width))
        self.text_modality = nn.Parameter(torch.randn(width))
        self.pair_token = nn.Parameter(torch.randn(1, 1, width))
        self.encoder = Encoder(width, layers, heads, mlp_ratio, activation)
        self.output = OutputLayer(width, outputs, output_activation)

    def forward(self, image: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """`image` is what `image_embedding` takes, `ids` (B, T) are the text's, `mask` (B, T) is True on real ones."""
        pair = self.pair_token.expand(len(ids), -1, -1)  # (B, 1, D)
        picture = self.image_positions(self.image_embedding(image)) + self.image_modality  # (B, N, D)
        text = self.text_positions(self.text_embedding(ids)) + self.text_modality  # (B, T, D)
        tokens = torch.cat([pair, picture, text], dim=1)  # (B, 1 + N + T, D)
        seen = mask.new_ones(len(mask), 1 + picture.shape[1])
        x = self.encoder(tokens, padding_mask(torch.cat([seen, mask], dim=1)))
        out: Tensor = self.output(x[:, 0])
        return out
